import type { GenerateArguments } from './generate.ts'

/** The arguments of `sada` that make the same again, wherever it is saved. Paths are as they were written. */
export function commandFor(prompt: string, options: GenerateArguments): string[] {
  const { model, count, seed, steps, guidance, scheduler, policy, negative, width, height } = options
  const { trueGuidance, secondPrompt, maxSequenceLength, init, strength, mask, control = [] } = options
  const { controlStrength, controlStart, controlEnd, seconds, tileSize, memoryBudget } = options
  const given: [string, string | number | bigint | undefined][] = [
    ['--model', model],
    ['--count', count === 1 ? undefined : count],
    ['--seed', seed],
    ['--steps', steps],
    ['--guidance', guidance],
    ['--scheduler', scheduler],
    ['--policy', policy],
    ['--negative', negative],
    ['--true-guidance', trueGuidance],
    ['--second-prompt', secondPrompt],
    ['--max-sequence-length', maxSequenceLength],
    ['--width', width],
    ['--height', height],
    ['--init', init],
    ['--strength', strength],
    ['--mask', mask],
    ...control.map((path): [string, string] => ['--control', path]),
    ['--control-strength', controlStrength],
    ['--control-start', controlStart],
    ['--control-end', controlEnd],
    ['--seconds', seconds],
    ['--tile-size', tileSize],
    ['--memory-budget', memoryBudget],
  ]
  // A value that begins like an option is not taken for one where it is joined to its own.
  const written = given.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
  // Nor is a prompt after a space, which is no part of it; after "--" nothing could be added to the command.
  return [prompt.startsWith('-') ? ` ${prompt}` : prompt, ...written]
}

/** The prompt among the arguments that `commandFor` has made, now or before. */
export const promptOf = (command: readonly string[]): string =>
  command.at(-2) === '--' ? command.at(-1)! : (command[0] ?? '').trimStart()

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
