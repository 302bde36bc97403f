#!/usr/bin/env node
import { Command } from 'commander'
import { invalidArgument, SadaError, unknownName } from '../errors.ts'
import { packageVersion } from '../version.ts'
import { decimal, entries, integer, parsePolicies } from './arguments.ts'
import type { BenchArguments } from './bench.ts'
import { addDevices } from './device-options.ts'
import { addBenchPictures } from './picture-options.ts'
import { runProgram, withOwnErrors } from './program.ts'
import { addTable1 } from './table1-command.ts'

const EXAMPLES = `
Examples:
  sada-bench                           all schedulers, the default policy: about two minutes
  sada-bench --quick                   fewer pictures, no comparisons: half a minute
  sada-bench --json - | jq '.cases[].speedup'
  sada-bench --policy sada,sada/poster --scheduler dpm++
  sada-bench --policy every-n:n=3,order=1 --samples 16 --batch 4
  sada-bench -m ./sdxl --prompts prompts.txt --scheduler euler --samples 4
  sada-bench -m ./flux --prompts prompts.txt --width 512 --height 512 --max-sequence-length 256
  sada-bench -m ./sd2-edges --prompts prompts.txt --control edges/ --scheduler dpm++
  sada-bench table1                    every policy that can run, side by side: hours

The table goes to stdout. "sada policies" lists the policies.
Exit codes: 0 done, 1 failure, 2 wrong usage, 3 no backend, 130 interrupted.`

// Options behind a subcommand are the subcommand's own.
const program = withOwnErrors(new Command('sada-bench')).enablePositionalOptions()
let signal: AbortSignal

/** A word that is no command. */
const unknownCommand = (name: string): SadaError =>
  name === 'calibrate'
    ? new SadaError('UNKNOWN_NAME', 'Unknown command "calibrate". Did you mean "sada calibrate"?', { argument: 'command' })
    : unknownName('command', name, ['table1'])

program
  .description('measures speed and fidelity of accelerated sampling against the same run without acceleration')
  .option('-m, --model <name>', 'a bundled model, or a model folder', 'avatar')
  .option('--policy <list>', 'policies, separated by commas, options behind a colon (default: sada)', parsePolicies)
  .option(
    '--scheduler <list>',
    "schedulers, separated by commas (default: the model's that add no noise)",
    entries('--scheduler'),
  )
  .option('--guidance <scale>', "guidance scale; 1 is none (default: the model's)", decimal('--guidance', 0, 100))
  .option('--steps <n>', "sampling steps (default: the model's)", integer('--steps', 1, 1000))
  .option('--samples <n>', 'pictures of each policy and scheduler (default: 8; 4 with --quick)', integer('--samples', 1, 10000))
  .option('--batch <n>', 'pictures made in one call', integer('--batch', 1, 64), 1)
  .option('--seed <n>', 'seed of the first picture; each further one has the next', integer('--seed', 0), 0)
  .option('--prompts <file>', "prompts, one on each line or as JSON (default: the model's, half of them full, half short)")
  .option('--quick', 'fewer pictures, and no comparison with a fixed schedule or with unpruned passes', false)
  .option('--json <file>', 'where the figures go (default: bench-report/result.json); - for stdout, instead of the table')
  .option('--html <file>', 'where the report goes (default: bench-report/index.html; none with --json -)')
  .version(packageVersion(), '-V, --version', 'print the version')
addDevices(addBenchPictures(program))
  .addHelpText('beforeAll', ({ command, command: { args } }) => {
    // Of a word that is no command the general help would say nothing.
    if (command === program && args.length > 0 && !/^(-|help$)/.test(args[0])) throw unknownCommand(args[0])
    return ''
  })
  .addHelpText('after', EXAMPLES)
  .allowExcessArguments()
  .action(async (options: BenchArguments, { args }: Command) => {
    if (args.length > 0) throw unknownCommand(args[0])
    const { bench } = await import('./bench.ts')
    await bench(options, signal)
  })

addTable1(program, () => signal)

/** Refuses an option before a subcommand, which would not hear of it. Throws INVALID_ARGUMENT. */
program.hook('preAction', (_, command) => {
  if (command === program) return
  const unheard = program.options.find((option) => program.getOptionValueSource(option.attributeName()) === 'cli')
  if (unheard === undefined) return
  const isTaken = command.options.some(({ long }) => long === unheard.long)
  throw invalidArgument(
    unheard.long!,
    isTaken
      ? `written after "${command.name()}", which has options of its own`
      : `left out: "${command.name()}" does not take it`,
    program.getOptionValue(unheard.attributeName()),
  )
})

void runProgram(program, (interruption) => (signal = interruption))
