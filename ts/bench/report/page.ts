import type { Manifest } from '../../plan/manifest.ts'
import type { MeasuredCase } from '../bench.ts'
import type { BenchResult } from '../result.ts'
export async function reportPage(_result: BenchResult, _cases: readonly MeasuredCase[], _manifest: Manifest): Promise<string> { return '' }
