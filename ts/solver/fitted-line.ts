/**
 * Weights of the least-squares line through nodes at `levels`, evaluated at `level`, with its slope multiplied by `share`: 1 is the line itself, 0
 * the nodes' mean. Their sum is 1. Where all levels are equal there is no slope.
 */
export function fittedLineWeights(levels: readonly number[], level: number, share: number): number[] {
  const mean = levels.reduce((sum, each) => sum + each, 0) / levels.length
  const spread = levels.reduce((sum, each) => sum + (each - mean) ** 2, 0)
  const reach = spread === 0 ? 0 : (share * (level - mean)) / spread
  return levels.map((each) => 1 / levels.length + reach * (each - mean))
}
