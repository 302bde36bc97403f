/** The p-th quantile (p in [0, 1]), linear between order statistics: numpy's default. */
export function quantile(values: readonly number[], p: number): number {
  if (values.length === 0) throw new RangeError('Expected at least one value.')
  const sorted = [...values].sort((a, b) => a - b)
  const at = p * (sorted.length - 1)
  const low = Math.floor(at)
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low])
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

export const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length

/** Median and the 5th and 95th percentile. */
export function spread(values: readonly number[]): { p50: number; p05: number; p95: number } {
  return { p50: quantile(values, 0.5), p05: quantile(values, 0.05), p95: quantile(values, 0.95) }
}

/** The least and the greatest of any number of values: spread over arguments, 100,000 of them overflow the stack. Of none ∞ and −∞. */
export const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity)
export const greatest = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), -Infinity)
