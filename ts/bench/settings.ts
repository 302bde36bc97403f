import type { GenerateOptions } from '../pipeline/options.ts'
import type { GenerateResult } from '../pipeline/pipeline.ts'
import type { PolicySpec } from '../policy/index.ts'
import type { BenchModel } from './model.ts'
import type { Terms } from './table1/journal.ts'
import type { BenchPrompt } from './prompts.ts'

/** What is measured, checked and complete. */
export interface BenchSettings {
  readonly model: BenchModel
  readonly schedulers: readonly string[]
  readonly policies: readonly PolicySpec[]
  readonly steps: number
  /** Pictures of each case; a multiple of `batch`. */
  readonly prompts: readonly BenchPrompt[]
  /** Pictures of one call. */
  readonly batch: number
  readonly guidance: number
  readonly seed: number
  /** What was asked of each picture beside the prompt. */
  readonly picture?: Terms['picture']
  /** Leaves the comparisons out. */
  readonly quick: boolean
}

/** `Pipeline.generate`, or anything that answers like it. */
export type Generate = (options: GenerateOptions) => Promise<GenerateResult>

/** Told what the bench is doing. Work is counted in network runs, estimated before they happen. */
export interface BenchProgress {
  start(total: number): void
  /** A line for the log. */
  note(text: string): void
  advance(work: number, task: string): void
}
