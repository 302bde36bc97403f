import type { BenchModel } from '../model.ts'
import type { Journal, Missing, Run, Terms } from './journal.ts'
import type { Method } from './methods.ts'
import type { PlainBy } from './plain.ts'
import type { NumberedPrompt } from './prompts.ts'

/** What a table is made of. */
export interface TableSettings {
  readonly model: BenchModel
  readonly schedulers: readonly string[]
  readonly guidances: readonly number[]
  readonly methods: readonly Method[]
  readonly prompts: readonly NumberedPrompt[]
  readonly steps: number
  /** Of the picture with index 0; each further one adds 1. */
  readonly seed: number
  /** What was asked of each picture beside the prompt. */
  readonly picture?: Terms['picture']
  /** Where the network runs; undefined: on the CPU. */
  readonly device?: string | undefined
  /** Every method directly after an unaccelerated run of its own, and no plain runs. */
  readonly timingOnly: boolean
  readonly plainBy: PlainBy
}

/** What one row of the table is known by. */
export type RowName = Pick<Run, 'scheduler' | 'guidance' | 'kind' | 'method'>

/** Where finished runs go, and those that were finished before. */
export interface Store {
  readonly journal: Journal
  readonly runs: Map<string, Run>
  readonly missing: Missing[]
  /** Runs of a row whose times are to be believed instead of those measured here. */
  timedRuns?(row: RowName): readonly Run[]
  /** Keeps a picture for the report and the metrics. */
  keep?(run: Run, sample: Float32Array): Promise<void>
}
