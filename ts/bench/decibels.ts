import { least, mean } from './statistics.ts'

/**
 * What an equal picture, whose PSNR is infinite (null), counts as in means: left out, it would make a policy look the worse the more of its
 * pictures are right. No other counts as more, so that equal is never less than nearly equal.
 */
export const EQUAL_DB = 150

/** PSNR in dB of a picture; null: equal, bit for bit. */
export type Decibels = number | null

const counted = (psnr: Decibels): number => Math.min(psnr ?? EQUAL_DB, EQUAL_DB)

/** Mean over all pictures. */
export const meanDecibels = (all: readonly Decibels[]): number => mean(all.map(counted))

/** Mean over the worst tenth of all pictures, rounded up. */
export function worstTenth(all: readonly Decibels[]): number {
  const ascending = all.map(counted).sort((a, b) => a - b)
  return mean(ascending.slice(0, Math.ceil(all.length / 10)))
}

export interface DecibelSummary {
  readonly mean: number
  readonly worst_decile: number
  /** null: all are equal. */
  readonly worst: Decibels
}

/** Of at least one picture. */
export function summariseDecibels(all: readonly Decibels[]): DecibelSummary {
  const finite = all.filter((psnr): psnr is number => psnr !== null)
  const worst = finite.length === 0 ? null : least(finite)
  return { mean: meanDecibels(all), worst_decile: worstTenth(all), worst }
}
