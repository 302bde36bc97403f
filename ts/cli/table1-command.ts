import { Option, type Command } from 'commander'
import { invalidArgument } from '../errors.ts'
import { decimal, entries, integer, parsePolicies } from './arguments.ts'
import { addBenchPictures } from './picture-options.ts'
import type { Table1Arguments } from './table1.ts'

const EXAMPLES = `
Examples:
  sada-bench table1 --samples 8 --scheduler dpm++       a first look
  sada-bench table1 --resume runs.jsonl --slice 1/4     a quarter of the prompts; each slice to a file of its own
  sada-bench table1 --resume a.jsonl,b.jsonl --report-only --html table1.html
  sada-bench table1 --timing-only --samples 8 --resume quiet.jsonl     wall times alone, on a machine that does nothing else
  sada-bench table1 --resume runs.jsonl --timing quiet.jsonl

Every finished run is in the --resume file at once: after Ctrl-C, the same command goes on.
The table goes to stdout as Markdown, unless one of the files is -.`

/** Adds `sada-bench table1`. */
export function addTable1(program: Command, signal: () => AbortSignal): void {
  const command = program
    .command('table1')
    .description('Every policy on one model, solver and noise: speed against closeness, beside the plain run of the same time.')
    .option('-m, --model <name>', 'a bundled model, or a model folder', 'avatar')
    .option('--samples <n>', 'prompts', integer('--samples', 1, 100_000), 128)
    .option(
      '--scheduler <list>',
      "schedulers, separated by commas (default: the model's that add no noise)",
      entries('--scheduler'),
    )
    .option('--guidance <list>', "guidance scales, separated by commas; 1 is none (default: the model's)", guidances)
    .option('--policies <list>', 'policies, options behind a colon (default: all that can run)', parsePolicies)
    .option('--sweep', 'each policy at five further settings too', false)
    .option('--steps <n>', "sampling steps (default: the model's)", integer('--steps', 1, 1000))
    .option('--kind <list>', 'kinds of prompts, separated by commas (default: all)', entries('--kind'))
    .option('--prompts <file>', "prompts, one on each line or JSON (default: the model's, half full, half short)")
    .option('--coco <file>', "captions_val2017.json: each picture's first caption")
    .option('--slice <k/n>', 'only the k-th of n parts of the prompts (default: all)', sliceOf)
  addBenchPictures(command)
    .option('--seed <n>', 'seed of the first picture; each further one adds 1', integer('--seed', 0), 0)
    .option('--threads <n>', 'threads of the network; 0: one per core that it may use', integer('--threads', 0, 1024))
    .option('--device <device>', 'cpu, cuda, cuda:<index> or auto: a GPU where one can be used', 'cpu')
    .option(
      '--engine <engine>',
      'onnxruntime, webgpu (any GPU), or tensorrt on the GPU of --device: what runs the network',
      'onnxruntime',
    )
  withFiles(command)
    .addHelpText('after', EXAMPLES)
    .allowExcessArguments(false)
    .action(async (options: Table1Arguments, command: Command) => {
      const { table1 } = await import('./table1.ts')
      const given = new Set(Object.keys(options).filter((name) => command.getOptionValueSource(name) === 'cli'))
      await table1({ ...options, given }, signal())
    })
}

/** Where runs come from, and where they and the table go. */
const withFiles = (command: Command): Command =>
  command
    .option(
      '--resume <files>',
      'finished runs, separated by commas: what is there is not made again; new ones go to the first',
      entries('--resume'),
    )
    .option('--timing-only', 'measure wall times: each method directly after a baseline of its own', false)
    .option('--timing <files>', 'take wall times from runs made with --timing-only', entries('--timing'))
    .addOption(
      new Option('--plain-by <what>', 'match the plain runs by time, or by FLOPs where the machine is busy')
        .choices(['time', 'flops'])
        .default('time'),
    )
    .option(
      '--report-only',
      'make no runs; --scheduler, --guidance, --policies, --kind and --samples choose among those that are finished',
      false,
    )
    .option('--weights <folder>', 'networks of the metrics LPIPS, FID, KID and CLIP score')
    .option('--html <file>', 'where the page goes; - for stdout')
    .option('--json <file>', 'where the figures go; - for stdout')
    .option('--markdown <file>', 'where the Markdown goes; - for stdout')
    .option('--csv <file>', 'where the CSV goes; - for stdout')

function guidances(text: string, before: readonly number[] = []): number[] {
  const scales = entries('--guidance', 'a number')(text).map(decimal('--guidance', 0, 100))
  return [...new Set([...before, ...scales])]
}

function sliceOf(text: string): [number, number] {
  const [, k, n] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number)
  if (k >= 1 && k <= n) return [k, n]
  throw invalidArgument('--slice', 'k/n with 1 ≤ k ≤ n, like 2/4', text)
}
