#!/usr/bin/env node
import { Command } from 'commander'
import { invalidArgument } from '../errors.ts'
import { packageVersion } from '../version.ts'
import { collect, decimal, integer, parsePolicy, seed, size } from './arguments.ts'
import { COMMANDS } from './command-line.ts'
import { addDevices } from './device-options.ts'
import type { GenerateArguments } from './generate.ts'
import { refuseMisspelt } from './misspelling.ts'
import {
  CONTROL,
  CONTROL_END,
  CONTROL_START,
  CONTROL_STRENGTH,
  HEIGHT,
  MAX_SEQUENCE_LENGTH,
  OF_SOME_MODELS,
  SECONDS,
  WIDTH,
} from './picture-options.ts'
import { EXIT, runProgram, unknownCommand, withOwnErrors } from './program.ts'

const EXAMPLES = `
Examples:
  sada "a smiling kid with ginger bun hair"                    one picture, named after its prompt
  sada "a teal robot with round eyes" -n 4 -o robots.png       four on one sheet
  sada "a toon person" --seed 7 --policy none                  without acceleration
  sada "a robot" --policy every-n:n=3,order=1 --json           what happened, as one JSON object
  sada "a robot" -o - | display                                the PNG on stdout
  sada -m ./sdxl "a lighthouse" --negative "blurry" -o x.png   a folder in the layout of diffusers and Optimum
  sada -m ./sdxl "at night" --init photo.jpg --strength 0.6    from a picture
  sada -m ./musicldm "a slow piano" --seconds 10 -o x.wav      a sound

Exit codes: 0 done, 1 failure, 2 wrong usage, 3 no backend, 130 interrupted.`

/** For who has typed the name alone. */
const BRIEFLY = `Usage: sada [options] [command] [prompt...]

  sada "a smiling kid with ginger bun hair"            one picture, named after its prompt
  sada "a teal robot with round eyes" -n 4 -o x.png    four on one sheet
  sada models                                          what a prompt can say

sada --help lists all options and commands.
`

const BUILDS =
  "build a model's engines for what --width, --height, --seconds and --count say; without --target for this machine's GPU"
const CALIBRATES = "measure whole runs of a model and fit what a policy must know of it: TeaCache's polynomial, MagCache's curve"

const JSON_FLAG = ['--json', 'print JSON, also of an error (on stderr)', false] as const

/** A policy as it is written, once it is known to be one. */
function checkedPolicy(text: string): string {
  parsePolicy(text)
  return text
}

/** What subcommands take of the program's options; all of them take --json. */
const TAKES: Readonly<Record<string, readonly string[]>> = {
  build: ['model', 'count', 'width', 'height', 'seconds'],
  calibrate: [
    ...['model', 'seed', 'steps', 'guidance', 'scheduler', 'threads', 'device', 'engine'],
    ...['width', 'height', 'maxSequenceLength', 'seconds', 'control', 'controlStrength', 'controlStart', 'controlEnd'],
  ],
}

/** For the help of a subcommand, which lists its own options alone. */
function takesToo(command: string): string {
  const names = program.options.filter((option) => TAKES[command].includes(option.attributeName())).map(({ long }) => long)
  return `Of the options of "sada" it also takes ${names.slice(0, -1).join(', ')} and ${names.at(-1)}.`
}

const program = withOwnErrors(new Command('sada'))
let signal: AbortSignal

program
  .description('makes pictures and sounds from text, about twice as fast as the plain sampler')
  .argument('[prompt...]', 'what to draw; "sada models" says what a bundled model knows')
  .option('-m, --model <name>', 'a bundled model, or a model folder', 'avatar')
  .option(
    '-o, --output <file>',
    'the PNG or WAV file, overwritten (default: a new one, named after the prompt); - for stdout, and what is said of it goes to stderr',
  )
  .option('-n, --count <n>', 'how many pictures, on one sheet; each further one has the next seed', integer('--count', 1, 64), 1)
  .option('--seed <n>', 'seed of the first picture', seed('--seed'), 0)
  .option('--steps <n>', "sampling steps (default: the model's)", integer('--steps', 1, 1000))
  .option('--guidance <scale>', "guidance scale; 1 is none (default: the model's)", decimal('--guidance', 0, 100))
  .option('--scheduler <name>', "flow-euler, dpm++, euler, dpm++-sde or euler-ancestral (default: the model's)")
  .option(
    '--policy <policy>',
    'when not to run the network, options behind a colon; none: run it at every step; "sada policies" lists all',
    checkedPolicy,
    'sada',
  )
  .option('--preview', 'draw the picture in the terminal while it forms', false)
  .option('--json', 'print what was done as one JSON object, on stderr with -o -; an error likewise, always on stderr', false)
  .version(packageVersion(), '-V, --version', 'print the version')
  .optionsGroup(OF_SOME_MODELS)
  .option('--negative <prompt>', 'what guidance leads away from')
  .option('--true-guidance <scale>', 'Flux: guidance away from --negative; 1 is none', decimal('--true-guidance', 1, 100))
  .option('--second-prompt <prompt>', 'SDXL: what the second text encoder reads instead')
  .addOption(WIDTH)
  .addOption(HEIGHT)
  .addOption(MAX_SEQUENCE_LENGTH)
  .addOption(SECONDS)
  .option('--init <file>', 'a PNG or JPEG picture to start from, cut to fit')
  .option(
    '--strength <share>',
    'how much of --init is made anew, 0 to 1 (default: 0.8; with --mask 1)',
    decimal('--strength', 0, 1),
  )
  .option('--mask <file>', 'a picture, white where --init is made anew, black where it stays')
  .addOption(CONTROL)
  .addOption(CONTROL_STRENGTH)
  .addOption(CONTROL_START)
  .addOption(CONTROL_END)
  .option(
    '--tile-size <pixels>',
    'side of the tiles in which the picture is decoded; 0: in one (default: tiles above 2 megapixels)',
    integer('--tile-size', 0, 8192),
  )
addDevices(program)
  .option('--memory-budget <size>', 'the most that the run may take of the GPU or the host, like 6G', size('--memory-budget'))
  .addHelpText('after', EXAMPLES)
  .action(async (prompt: string[], options: GenerateArguments) => {
    const isBare =
      prompt.length === 0 && program.options.every((each) => program.getOptionValueSource(each.attributeName()) !== 'cli')
    if (isBare) {
      process.stderr.write(BRIEFLY)
      process.exitCode = EXIT.usage
      return
    }
    const { generate } = await import('./generate.ts')
    await refuseMisspelt(prompt, COMMANDS)
    await generate(prompt.join(' ').trim(), options, COMMANDS, signal)
  })

program
  .command('info')
  .description('show how a picture was made, and the command that makes it again')
  .argument('<file>', 'a PNG file that sada has written')
  .option(...JSON_FLAG)
  .addHelpText('after', '\nExamples:\n  sada info robot.png\n  eval "$(sada info robot.png | tail -n 1) -o again.png"')
  .action(async (file: string, _, command: Command) => {
    const { info } = await import('./info.ts')
    process.stdout.write(await info(file, command.optsWithGlobals<{ json: boolean }>().json))
  })

program
  .command('models')
  .description('show the bundled models and what their prompts can say')
  .argument('[names...]', 'only these models')
  .option(...JSON_FLAG)
  .addHelpText('after', '\nExamples:\n  sada models\n  sada models avatar --json | jq -r ".[0].examples[]"')
  .action(async (names: string[], _, command: Command) => {
    const { models } = await import('./models.ts')
    process.stdout.write(await models(names, command.optsWithGlobals<{ json: boolean }>().json))
  })

program
  .command('policies')
  .description('list the policies, or show the options of those named, with defaults and ranges')
  .argument('[names...]', 'policies whose options are shown')
  .option(...JSON_FLAG)
  .addHelpText('after', '\nExamples:\n  sada policies\n  sada policies every-n sada/poster\n  sada policies --json')
  .action(async (names: string[], _, command: Command) => {
    const { policies } = await import('./policies.ts')
    process.stdout.write(policies(names, command.optsWithGlobals<{ json: boolean }>().json))
  })

const engines = program
  .command('engines')
  .description('list the TensorRT engines that are kept, build them ahead of time, or delete them')
  .hook('preSubcommand', ({ args: [name = ''], commands }) => {
    // The default one would take it for an argument of its own.
    const isKnown = /^(-|$)/.test(name) || commands.some((each) => each.name() === name)
    if (!isKnown) throw unknownCommand(engines, name)
  })
engines
  .command('list', { isDefault: true })
  .description('list the engines that are kept, the last used first')
  .option(...JSON_FLAG)
  .action(async (_, command: Command) => {
    const { listEngines } = await import('./engines.ts')
    process.stdout.write(await listEngines(command.optsWithGlobals<{ json: boolean }>().json))
  })
engines
  .command('build')
  .summary(BUILDS)
  .description(`${BUILDS}\n\n${takesToo('build')}`)
  .option(
    '--target <capability>',
    'build for GPUs of this compute capability, without one at hand (TensorRT for RTX); again for more',
    collect,
  )
  .option('--out <folder>', 'also write the engines there, to be shipped with an application')
  .option('--tensorrt <path>', 'the TensorRT library, or its folder')
  .option(...JSON_FLAG)
  .addHelpText(
    'after',
    '\nExamples:\n  sada engines build --target sm_89\n  sada engines build -m ./sdxl --width 1024 --height 1024 -n 4 --target sm_86 --target sm_120 --out engines',
  )
  .action(async (_, command: Command) => {
    const { buildModelEngines } = await import('./engines.ts')
    process.stdout.write(await buildModelEngines(command.optsWithGlobals(), signal))
  })
engines
  .command('clear')
  .description('delete every engine that is kept')
  .action(async () => {
    const { clearEngines } = await import('./engines.ts')
    process.stdout.write(await clearEngines())
  })

program
  .command('calibrate')
  .summary(CALIBRATES)
  .description(`${CALIBRATES}\n\n${takesToo('calibrate')}`)
  .argument('<policy>', 'teacache or magcache')
  .option('--samples <n>', 'how many pictures are measured, each with a prompt of its own', integer('--samples', 1, 10_000), 8)
  .option('--prompts <file>', "prompts, one on each line (default: the model's examples)")
  .option('--degree <n>', "degree of TeaCache's polynomial", integer('--degree', 1, 8), 4)
  .option(...JSON_FLAG)
  .addHelpText(
    'after',
    '\nExamples:\n  sada calibrate teacache -m avatar --scheduler euler\n  sada calibrate magcache --steps 28 --json',
  )
  .action(async (policy: string, _, command: Command) => {
    const { calibrate } = await import('./calibrate.ts')
    process.stdout.write(await calibrate(policy, command.optsWithGlobals(), signal))
  })

program
  .command('doctor')
  .description('say what runs on this machine, and why something does not; exits with 3 where nothing does')
  .option(...JSON_FLAG)
  .addHelpText('after', '\nExamples:\n  sada doctor\n  sada doctor --json')
  .action(async (_, command: Command) => {
    const { doctor } = await import('./doctor.ts')
    const { text, exitCode } = await doctor(command.optsWithGlobals<{ json: boolean }>().json, signal)
    process.stdout.write(text)
    process.exitCode = exitCode
  })

/** Refuses an option that would change nothing. Throws INVALID_ARGUMENT. */
program.hook('preAction', (_, command) => {
  if (command === program) return
  const takes = ['json', ...(TAKES[command.name()] ?? [])]
  const idle = program.options.find((option) => {
    const name = option.attributeName()
    return program.getOptionValueSource(name) === 'cli' && !takes.includes(name)
  })
  if (idle)
    throw invalidArgument(
      idle.long!,
      `left out: "${command.name()}" does not take it`,
      program.getOptionValue(idle.attributeName()),
    )
})

void runProgram(program, (interruption) => (signal = interruption))
