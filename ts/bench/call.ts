import type { PolicySpec } from '../policy/index.ts'
import type { MemberTrace, Trace } from '../sampler/trace.ts'
import { requestOf, type BenchPrompt } from './prompts.ts'
import type { BenchSettings, Generate } from './settings.ts'

/** One timed call of `generate`: `batch` pictures. */
export interface TimedCall {
  readonly wallMs: number
  readonly trace: Trace
  /** Final samples, one for each picture, [channels, height, width]. */
  readonly samples: readonly Float32Array[]
}

/** What all calls of a scheduler share. */
export interface CallSite {
  readonly generate: Generate
  readonly settings: BenchSettings
  readonly scheduler: string
  readonly signal: AbortSignal
}

/** One way to make the pictures. */
export interface Plan {
  readonly policy: PolicySpec
  readonly steps: number
}

/** The pictures of the g-th call, each with its own seed: the seed goes with the picture, whatever the batch. */
export async function timedCall(site: CallSite, group: number, { policy, steps }: Plan): Promise<TimedCall> {
  const { generate, settings, scheduler, signal } = site
  const { batch, guidance, seed: firstSeed, prompts } = settings
  const members = Array.from({ length: batch }, (_, k) => group * batch + k)
  const options = {
    scheduler,
    steps,
    guidanceScale: guidance,
    policy,
    signal,
    ...requestOf(members.map((k) => prompts[k])),
    seed: members.map((k) => firstSeed + k),
  }
  const startedAt = performance.now()
  const result = await generate(options)
  const wallMs = performance.now() - startedAt
  return { wallMs, trace: result.trace, samples: settings.model.samplesOf(result) }
}

/** All calls of one way to make the pictures, in order. */
export class Series {
  readonly calls: readonly TimedCall[]

  constructor(calls: readonly TimedCall[]) {
    this.calls = calls
  }

  get samples(): Float32Array[] {
    return this.calls.flatMap(({ samples }) => samples)
  }

  get members(): MemberTrace[] {
    return this.calls.flatMap(({ trace }) => trace.members)
  }

  get wallMs(): number[] {
    return this.calls.map(({ wallMs }) => wallMs)
  }
}

/** Indices of the pictures of each kind. */
export function byKind(prompts: readonly BenchPrompt[]): Map<string, number[]> {
  const kinds = new Map<string, number[]>()
  for (const [k, { kind }] of prompts.entries()) kinds.set(kind, [...(kinds.get(kind) ?? []), k])
  return kinds
}
