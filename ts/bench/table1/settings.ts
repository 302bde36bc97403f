import type { BenchModel } from '../model.ts'
import type { Journal, Missing, PlainBy, Run } from './journal.ts'
import type { Method } from './methods.ts'
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
  /** Every method directly after an unaccelerated run of its own, and no plain runs. */
  readonly timingOnly: boolean
  readonly plainBy: PlainBy
}

/** Where finished runs go, and those that were finished before. */
export interface Store {
  readonly journal: Journal
  readonly runs: Map<string, Run>
  readonly missing: Missing[]
  /** A method's median share of the baseline, where another measurement is to be believed. */
  shareOf?(scheduler: string, guidance: number, method: string): number | undefined
  /** Keeps a picture for the report and the metrics. */
  keep?(run: Run, sample: Float32Array): Promise<void>
}
