import { Option, type Command } from 'commander'
import { invalidArgument } from '../errors.ts'
import { decimal, entries, integer, parsePolicies } from './arguments.ts'
import { addDevices } from './device-options.ts'
import { addBenchPictures } from './picture-options.ts'
import type { Table1Arguments } from './table1.ts'

const EXAMPLES = `
Examples:
  sada-bench table1 --samples 8 --scheduler dpm++
      a first look
  sada-bench table1 --resume runs.jsonl --slice 1/4
      a quarter of the prompts; each slice to a file of its own
  sada-bench table1 --resume a.jsonl,b.jsonl --report-only --html table1.html
      a page from what the slices made
  sada-bench table1 --timing-only --samples 8 --resume quiet.jsonl
      wall times alone, on a machine that does nothing else
  sada-bench table1 --resume runs.jsonl --timing quiet.jsonl
      the table with those wall times

Every finished run is in the --resume file at once: after Ctrl-C, the same command goes on.
Without --markdown, --html, --json and --csv all four are written to bench-report/.
The table goes to stdout as Markdown, unless one of them does.`

/** Adds `sada-bench table1`. */
export function addTable1(program: Command, signal: () => AbortSignal): void {
  const command = program
    .command('table1')
    .description('run every policy from the same noise: speed against closeness, beside plain steps that take as long')
    .option('-m, --model <name>', 'a bundled model, or a model folder', 'avatar')
    .option('--policy <list>', 'policies, separated by commas, options behind a colon (default: all that can run)', parsePolicies)
    .option('--sweep', 'each policy at five further settings, too', false)
    .option(
      '--scheduler <list>',
      "schedulers, separated by commas (default: the model's that add no noise)",
      entries('--scheduler'),
    )
    .option('--guidance <list>', "guidance scales, separated by commas; 1 is none (default: the model's)", guidances)
    .option('--steps <n>', "sampling steps (default: the model's)", integer('--steps', 1, 1000))
    .option('--samples <n>', 'how many prompts, with a picture each', integer('--samples', 1, 100_000), 128)
    .option('--seed <n>', 'seed of the first picture; each further one has the next', integer('--seed', 0), 0)
    .option('--prompts <file>', "prompts, one on each line or as JSON (default: the model's, half of them full, half short)")
    .option('--coco <file>', "the prompts are a captions_val2017.json's: of each picture the first caption")
    .option(
      '--kind <list>',
      'only prompts of these kinds, separated by commas: full, short or those of the file',
      entries('--kind'),
    )
    .option('--slice <k/n>', 'only the k-th of n parts of the prompts', sliceOf)
  addDevices(addBenchPictures(command))
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
    .optionsGroup('Finished runs, and wall times:')
    .option(
      '--resume <files>',
      'files of finished runs, separated by commas: what is in them is not made again; new ones go to the first; the table has those that are asked for',
      entries('--resume'),
    )
    .option(
      '--report-only',
      'make no runs; --scheduler, --guidance, --policy, --kind and --samples choose among those that are finished',
      false,
    )
    .option('--timing-only', 'measure wall times alone: each method directly after a baseline of its own', false)
    .option('--timing <files>', 'take wall times from files of runs that --timing-only made', entries('--timing'))
    .addOption(
      new Option('--plain-by <what>', 'what plain steps take as much of: time, or flops where the machine is busy')
        .choices(['time', 'flops'])
        .default('time'),
    )
    .optionsGroup('What is made of them:')
    .option(
      '--weights <folder>',
      'networks of the metrics LPIPS, FID, KID and CLIP score (default: none, and those metrics are left out)',
    )
    .option('--markdown <file>', 'where the table goes as Markdown; - for stdout')
    .option('--html <file>', 'where the page goes; - for stdout')
    .option('--json <file>', 'where the figures go; - for stdout')
    .option('--csv <file>', 'where the figures go as CSV; - for stdout')

function guidances(text: string, before: readonly number[] = []): number[] {
  const scales = entries('--guidance', 'a number')(text).map(decimal('--guidance', 0, 100))
  return [...new Set([...before, ...scales])]
}

function sliceOf(text: string): [number, number] {
  const [, k, n] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number)
  if (k >= 1 && k <= n) return [k, n]
  throw invalidArgument('--slice', 'k/n with 1 ≤ k ≤ n, like 2/4', text)
}
