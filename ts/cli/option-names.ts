import type { Option } from 'commander'

/** Options of the library that a command line calls otherwise. */
const CALLED: Readonly<Record<string, string>> = {
  guidanceScale: 'guidance',
  trueGuidanceScale: 'trueGuidance',
  negativePrompt: 'negative',
  policy: 'policies',
}

/**
 * A message of the library with what it quotes of its options as a command has them: `"--memory-budget"` for `"memory.budget"`,
 * `"n" of "--policy"` for `"policy.n"`. What was received stays as it was written; what was not given is said to be so.
 */
export function asTyped(message: string, options: readonly Option[]): string {
  const longOf = (name: string): string | undefined =>
    options.find((each) => [name, CALLED[name]].includes(each.attributeName()))?.long
  const told = message.replace(/, received undefined\.$/m, ', but it was not given.')
  return told.replace(/(?<!received )"([a-z][\w.]*)"/gi, (quoted, name: string) => {
    const long = longOf(name.replace(/\.(\w)/g, (_, letter: string) => letter.toUpperCase()))
    if (long !== undefined) return `"${long}"`
    const [first, ...within] = name.split('.')
    const outer = within.length > 0 ? longOf(first) : undefined
    return outer === undefined ? quoted : `"${within.join('.')}" of "${outer}"`
  })
}
