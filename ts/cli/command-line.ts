import type { GenerateArguments } from './generate.ts'

/** The arguments of `sada` that make the same again, wherever it is saved. Paths are as they were written. */
export function commandFor(prompt: string, options: GenerateArguments): string[] {
  const { model, count, seed, steps, guidance, scheduler, policy, negative, width, height } = options
  const { init, strength, mask, control = [], controlStrength, seconds, tileSize, memoryBudget } = options
  const given: [string, string | number | undefined][] = [
    ['--model', model],
    ['--count', count === 1 ? undefined : count],
    ['--seed', seed],
    ['--steps', steps],
    ['--guidance', guidance],
    ['--scheduler', scheduler],
    ['--policy', policy],
    ['--negative', negative],
    ['--width', width],
    ['--height', height],
    ['--init', init],
    ['--strength', strength],
    ['--mask', mask],
    ...control.map((path): [string, string] => ['--control', path]),
    ['--control-strength', controlStrength],
    ['--seconds', seconds],
    ['--tile-size', tileSize],
    ['--memory-budget', memoryBudget],
  ]
  // A value that begins like an option is not taken for one where it is joined to its own.
  const written = given.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
  return prompt.startsWith('-') ? [...written, '--', prompt] : [prompt, ...written]
}

/** The prompt among the arguments that `commandFor` has made. */
export const promptOf = (command: readonly string[]): string => (command.at(-2) === '--' ? command.at(-1)! : (command[0] ?? ''))

/** Arguments as they are typed into a POSIX shell. */
export function quoted(args: readonly string[]): string {
  return args
    .map((each) => {
      if (/^[\w./:=,@%+-]+$/.test(each)) return each
      const [, option = '', value = each] = /^(--[a-z-]+=)([^]*)$/.exec(each) ?? []
      return `${option}'${value.replaceAll("'", `'\\''`)}'`
    })
    .join(' ')
}
