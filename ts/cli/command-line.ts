import type { GenerateArguments } from './generate.ts'

/** What is recorded of the options: what makes the picture, and nothing that writes. */
const RECORDED = [
  ...['model', 'count', 'seed', 'steps', 'guidance', 'scheduler', 'policy', 'negative', 'trueGuidance', 'secondPrompt'],
  ...['maxSequenceLength', 'width', 'height', 'init', 'strength', 'mask'],
  ...['control', 'controlStrength', 'controlStart', 'controlEnd', 'seconds', 'tileSize', 'memoryBudget'],
] as (keyof GenerateArguments)[]
const longOf = (name: string): string => '--' + name.replace(/[A-Z]/g, (letter) => '-' + letter.toLowerCase())

/** What a prompt would be taken for where it is the first argument. */
export const COMMANDS: readonly string[] = ['info', 'models', 'policies', 'engines', 'calibrate', 'doctor', 'help']
const isTaken = (prompt: string): boolean => prompt.startsWith('-') || COMMANDS.includes(prompt)

/** The arguments of `sada` that make the same again, wherever it is saved. Paths are as they were written. */
export function commandFor(prompt: string, options: GenerateArguments): string[] {
  const given = { ...options, count: options.count === 1 ? undefined : options.count }
  // A value that begins like an option is not taken for one where it is joined to its own.
  const written = RECORDED.flatMap((name) => [given[name] ?? []].flat().map((value) => `${longOf(name)}=${value}`))
  // Nor is a prompt after a space, which is no part of it; after "--" nothing could be added to the command.
  return [isTaken(prompt) ? ` ${prompt}` : prompt, ...written]
}

/** Whether these are arguments that `commandFor` makes: a file may hold any, and they are printed to be run. */
export function isRecord([prompt = '', ...options]: readonly string[]): boolean {
  const names = options.map((each) => /^(--[a-z-]+)=/.exec(each)?.[1])
  const known = RECORDED.map(longOf)
  return prompt.trim() !== '' && !isTaken(prompt) && names.every((name) => name !== undefined && known.includes(name))
}

/** The prompt among the arguments that `commandFor` has made. */
export const promptOf = ([prompt]: readonly string[]): string => prompt.trimStart()

/** Arguments as they are typed into a POSIX shell, on one line whatever they hold. */
export function quoted(args: readonly string[]): string {
  return args
    .map((each) => {
      if (/^[\w./:=,@%+-]+$/.test(each)) return each
      const [, option = '', value = each] = /^(--[a-z-]+=)([^]*)$/.exec(each) ?? []
      return option + (CONTROL.test(value) ? spelled(value) : `'${value.replaceAll("'", `'\\''`)}'`)
    })
    .join(' ')
}

/**
 * A value with control characters. `$'…'`, which not every shell knows, is for what ends in a newline, which `$(…)` would take off; where it is
 * unknown, it is one word all the same: no quotation mark is in it. Nor an exclamation mark, which is one of bash's own between double ones.
 */
function spelled(value: string): string {
  const escaped = value.replaceAll('\\', '\\\\')
  if (value.endsWith('\n')) return `$'${escaped.replace(SPELLED, (each) => octal(each, '\\'))}'`
  return `"$(printf %b '${escaped.replace(SPELLED, (each) => octal(each, '\\0'))}')"`
}

// Ends of lines, and what a terminal obeys.
const CONTROL = /[\p{Cc}\u2028\u2029]/u
const CONTROLS = new RegExp(CONTROL, 'gu')
const SPELLED = /[\p{Cc}\u2028\u2029'!]/gu
const octal = (character: string, before: string): string =>
  Array.from(Buffer.from(character), (byte) => before + byte.toString(8).padStart(3, '0')).join('')

/** A text for people to read: control characters, which a terminal would obey, as JSON has them. */
export const printable = (text: string): string =>
  text.replace(CONTROLS, (character) => '\\u' + character.charCodeAt(0).toString(16).padStart(4, '0'))
