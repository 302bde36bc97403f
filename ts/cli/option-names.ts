import type { Option } from 'commander'

/** Options of the library that a command line calls otherwise. */
const CALLED: Readonly<Record<string, string>> = {
  guidanceScale: 'guidance',
  trueGuidanceScale: 'trueGuidance',
  negativePrompt: 'negative',
}

const longOf = (name: string, options: readonly Option[]): string | undefined =>
  options.find((each) => [name, CALLED[name]].includes(each.attributeName()))?.long

/** `memory.budget` as `memoryBudget` */
const inOneWord = (name: string): string => name.replace(/\.(\w)/g, (_, letter: string) => letter.toUpperCase())

/** An argument of the library as the option that it was typed in; as it is, where it is none. */
export const typedName = (argument: string, options: readonly Option[]): string =>
  longOf(inOneWord(argument), options) ?? longOf(argument.split('.')[0], options) ?? argument

/**
 * A message of the library with what it quotes of its options as a command has them: `"--memory-budget"` for `"memory.budget"`,
 * `"n" of "--policy"` for `"policy.n"`. What was received stays as it was written; what was not given is said to be so.
 */
export function asTyped(message: string, options: readonly Option[]): string {
  const told = message
    .replace(/, received undefined\.$/m, ', but it was not given.')
    .replace(/ It takes ((?:"\w+"(?:, )?)+)\./, (_, names: string) => takenOf(names.split(', '), options))
  return told.replace(/(?<!received )"([a-z][\w.]*)"/gi, (quoted, name: string) => {
    const long = longOf(inOneWord(name), options)
    if (long !== undefined) return `"${long}"`
    const [first, ...within] = name.split('.')
    const outer = within.length > 0 ? longOf(first, options) : undefined
    return outer === undefined ? quoted : `"${within.join('.')}" of "${outer}"`
  })
}

/** What a model takes, of options that a command has. */
function takenOf(quoted: readonly string[], options: readonly Option[]): string {
  const known = quoted.filter((each) => longOf(each.slice(1, -1), options) !== undefined)
  return known.length > 0 ? ` It takes ${known.join(', ')}.` : ''
}
