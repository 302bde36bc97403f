import { CommanderError, type Command, type Option } from 'commander'
import { SadaError, unknownName, type SadaErrorCode } from '../errors.ts'
import { asTyped, typedName } from './option-names.ts'
import { isLive } from './terminal.ts'

/** Exit codes of both binaries; 128 + n for signal n. */
export const EXIT = { ok: 0, failure: 1, usage: 2, unavailable: 3 } as const

/** What ends a program, and with what. */
const EXIT_OF_SIGNAL = Object.entries({ SIGHUP: 129, SIGINT: 130, SIGQUIT: 131, SIGTERM: 143 })

const EXIT_OF: Partial<Record<Failure['code'], number>> = {
  INVALID_ARGUMENT: EXIT.usage,
  UNKNOWN_NAME: EXIT.usage,
  PROMPT_TOO_LONG: EXIT.usage,
  BACKEND_UNAVAILABLE: EXIT.unavailable,
}

/** Why a command's signal fired: the user's Ctrl-C, a terminal that is gone, or the system's wish. */
class Interruption extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super('interrupted; no result was written')
    this.exitCode = exitCode
  }
}

/** Sets a command up to fail through exceptions, in this project's own words. Before subcommands are added, which inherit it. */
export function withOwnErrors(command: Command): Command {
  return command
    .exitOverride()
    .showSuggestionAfterError()
    .addHelpText('beforeAll', ({ error, command: asked }) => {
      // Help is an error where nothing was asked for, or by the name of no command.
      if (error && asked.args.length > 0) throw unknownCommand(asked, asked.args[1])
      return ''
    })
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .configureHelp({ optionDescription, commandDescription })
    .configureOutput({ outputError: () => {} }) // `report` says it, as it does other errors
}

/** A flag is off unless it is given, which needs no words. */
const optionDescription = ({ description, defaultValue }: Option): string =>
  defaultValue === undefined || defaultValue === false ? description : `${description} (default: ${String(defaultValue)})`

/** In its own help a sentence, what in a list of commands is none. */
function commandDescription(command: Command): string {
  const [first, ...others] = command.description().split('\n\n')
  return [`${first.charAt(0).toUpperCase()}${first.slice(1)}.`, ...others].join('\n\n')
}

/** A name that none of a command's own commands has. */
export function unknownCommand(of: Command, name: string): SadaError {
  const what = of.parent === null ? 'command' : `command of "${of.parent.name()} ${of.name()}"`
  return unknownName(
    what,
    name,
    of.commands.map((each) => each.name()),
    'command',
  )
}

/**
 * Runs a program to its end and sets the exit code; the process ends by itself when nothing is left to do. The first Ctrl-C
 * aborts what runs, a second one ends the process at once.
 */
export async function runProgram(program: Command, start: (signal: AbortSignal) => void): Promise<void> {
  let acting = program
  program.hook('preSubcommand', (_, subcommand) => void (acting = subcommand))
  const fail = (error: unknown): number => report(program.name(), error, [...acting.options, ...program.options])
  endWhereStdoutEnds(fail)
  const interruption = new AbortController()
  const interrupt = (exitCode: number) => () => {
    if (interruption.signal.aborted) process.exit(exitCode)
    interruption.abort(new Interruption(exitCode))
  }
  for (const [name, exitCode] of EXIT_OF_SIGNAL) process.on(name, interrupt(exitCode))
  start(interruption.signal)
  try {
    await program.parseAsync()
  } catch (error) {
    process.exitCode = fail(error)
  } finally {
    for (const [name] of EXIT_OF_SIGNAL) process.removeAllListeners(name)
  }
}

/** What went wrong, as it is told. */
interface Failure {
  readonly code: SadaErrorCode | 'INTERRUPTED'
  /** As it is typed, where it can be. */
  readonly argument?: string
  readonly message: string
}

/** Says on stderr what went wrong, and gives the exit code for it. `options`: those that could be typed. */
function report(name: string, error: unknown, options: readonly Option[]): number {
  // Help and versions that were asked for, and help in the place of what was not.
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok
  if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage
  // What was drawn last is not finished: the line is the message's.
  if (isLive(process.stderr)) process.stderr.write('\r\x1b[2K')
  if (process.env.SADA_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  const failure = failureOf(error, options)
  process.stderr.write(isForPrograms(options) ? JSON.stringify({ error: failure }) + '\n' : asLine(name, failure))
  if (error instanceof Interruption) return error.exitCode
  return EXIT_OF[failure.code] ?? EXIT.failure
}

function failureOf(error: unknown, options: readonly Option[]): Failure {
  if (error instanceof Interruption) return { code: 'INTERRUPTED', message: error.message }
  if (error instanceof CommanderError) {
    const message = oneLine(error.message.replace(/^error: /, ''))
    return { code: 'INVALID_ARGUMENT', argument: /'(?:-\w, )?(--?[\w-]+)/.exec(message)?.[1], message }
  }
  if (!(error instanceof SadaError)) return { code: 'INTERNAL', message: oneLine(String((error as Error)?.message ?? error)) }
  const { code, argument, message } = error
  // Unknown names, and paths that cannot be written, are quoted as they were written.
  const isQuoted = argument === undefined || code === 'UNKNOWN_NAME' || code === 'OUTPUT_FAILED'
  return {
    code,
    argument: argument === undefined ? undefined : typedName(argument, options),
    message: oneLine(isQuoted ? message : asTyped(message, options)),
  }
}

const asLine = (name: string, { code, message }: Failure): string =>
  `${name}: ${message}${code === 'INTERRUPTED' ? '' : ` [${code}]`}\n`

/** Whether `--json` was written, as a word of its own: what is parsed of a command line that is wrong may end before it. Where it takes a file, it is about that alone. */
function isForPrograms(options: readonly Option[]): boolean {
  const end = process.argv.indexOf('--')
  const words = process.argv.slice(2, end < 0 ? undefined : end)
  return words.includes('--json') && options.some(({ long, required }) => long === '--json' && !required)
}

const oneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, ' ')

/** A reader that has seen enough (`| head`) is no failure; a full disk is. */
function endWhereStdoutEnds(fail: (error: unknown) => number): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.ok)
    process.exit(fail(new SadaError('OUTPUT_FAILED', `Cannot write to stdout: ${error.message}.`, { cause: error })))
  })
  process.stderr.on('error', () => {})
}
