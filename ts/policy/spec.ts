import type { AutoOptions } from './auto.ts'
import type { PolicyDefinition } from './definition.ts'
import type { PolicyTable } from './index.ts'
import type { Recording } from './recording.ts'

/** The name of a policy; a preset stands behind a slash. */
export type PolicyName = keyof PolicyTable

type Given<O> = { readonly [K in keyof O]?: O[K] | undefined }
type OptionsOf<N extends PolicyName> = PolicyTable[N] extends PolicyDefinition<infer O> ? Given<O> : never

type Named<N extends PolicyName> = { readonly name: N; readonly preset?: undefined } & OptionsOf<N>
type Preset<N extends PolicyName> = N extends `${infer Name}/${infer Of}`
  ? { readonly name: Name; readonly preset: Of } & OptionsOf<N>
  : never
type Spec = { [N in PolicyName]: Named<N> | Preset<N> }[Exclude<PolicyName, 'auto'>]

/** One of the options, without the others. */
type OneOf<O> = {
  [K in keyof O]: Readonly<Record<K, O[K]> & Partial<Record<Exclude<keyof O, K>, never>>>
}[keyof O]

/** `{ name: 'auto', target: { speedup: 2 } }`; the target can also be an option itself, as it is on a command line: `{ name: 'auto', speedup: 2 }`. */
type Auto = { readonly name: 'auto'; readonly preset?: undefined } & (
  { readonly target: OneOf<AutoOptions> } | ({ readonly target?: undefined } & OneOf<AutoOptions>)
)
interface Replay {
  readonly name: 'replay'
  readonly preset?: undefined
  readonly recording: Recording
}

/** Policies with names and options that there are: for `satisfies`, where the compiler shall see what is misspelt. */
export type KnownPolicy = PolicyName | Spec | Auto | Replay

/** Names and options as they come from a file or a command line. */
interface Written {
  readonly name: string
  readonly preset?: string | undefined
  // `unknown` would swallow what editors complete options from.
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type
  readonly [option: string]: {} | null | undefined
}

/**
 * A policy by name, or by name with options: `'sada'`, `{ name: 'every-n', n: 3, order: 1 }`. A preset stands behind a slash, or in `preset`:
 * `'sada/poster'`. `{ name: 'replay', recording }` repeats a recorded run. `npx sada policies` lists names, and with them options, ranges and defaults.
 * UNKNOWN_NAME for other names and options, INVALID_ARGUMENT for values out of range.
 */
export type PolicySpec = KnownPolicy | Written

/** The same where the name alone is any string: what is written is checked where the policy is made. */
export type WrittenPolicy = string | Exclude<PolicySpec, string>
