import * as assert from 'uvu/assert'
import type { MeasuredCase } from '../../ts/bench/bench.ts'
import { ofPlan } from '../../ts/bench/model.ts'
import type { BenchResult } from '../../ts/bench/result.ts'
import type { BenchProgress, BenchSettings, Generate } from '../../ts/bench/settings.ts'
import type { Manifest } from '../../ts/plan/manifest.ts'
import type { MemberStep, StepAction } from '../../ts/sampler/trace.ts'

export const SIZE = 12
const LENGTH = 3 * SIZE * SIZE

export const model = ofPlan({
  name: 'fake',
  latents: [3, SIZE, SIZE],
  output: { kind: 'image', range: [-1, 1] },
  schedulers: {
    'flow-euler': { _class_name: 'FlowMatchEulerDiscreteScheduler' },
    euler: { _class_name: 'EulerDiscreteScheduler' },
  },
  text: { bytes: 1 },
  tokens: { grid: [2, 2], patch: [6, 6] },
  stages: [{ kind: 'tokens', flops: { fixed: 10, per_token: 5, per_token_pair: 1 } }],
} as unknown as Manifest)

export interface Call {
  readonly policy: string
  readonly steps: number
  readonly seeds: readonly number[]
}

/** A pipeline that takes its time from its network runs, and whose skips show in the sample. */
export function fakePipeline(calls: Call[] = []): Generate {
  return async ({ prompt, seed, steps = 1, policy, scheduler: schedulerName, guidanceScale = 1, signal }) => {
    signal?.throwIfAborted()
    const scheduler = typeof schedulerName === 'string' ? schedulerName : ''
    const name = typeof policy === 'string' ? policy : policy!.name
    const seeds = seed as readonly number[]
    calls.push({ policy: name, steps, seeds })
    const action = (step: number): StepAction =>
      name === 'none' || step % 2 === 0 ? 'run' : step % 4 === 1 ? 'prune' : 'extrapolate'
    const members = seeds.map(() => {
      const each = Array.from({ length: steps }, (_, step): MemberStep => {
        const done = action(step)
        return {
          step,
          timestep: 1000 - step,
          action: done,
          ms: done === 'extrapolate' ? 0.1 : 4,
          ...(done === 'prune' && { keptTokens: 2 }),
          criterion: (step % 3) - 1,
        }
      })
      return { steps: each, nfe: each.filter((step) => step.action !== 'extrapolate').length }
    })
    const ms = members[0].nfe * 4
    const error = (name === 'none' ? 1 / steps : 0.02) * (seeds[0] === 0 && name !== 'none' ? 0 : 1)
    const latents = new Float32Array(LENGTH * seeds.length).map(
      (_, k) => Math.sin(k) * 0.5 + (name === 'none' && steps === 20 ? 0 : error),
    )
    const trace = {
      scheduler,
      policy: name,
      options: typeof policy === 'object' ? policy : {},
      steps,
      guidance: guidanceScale,
      members,
      ms,
      overheadMs: 1,
    }
    assert.is((prompt as readonly string[]).length, seeds.length)
    return { images: [], latents, trace, unknownWords: [], audio: [], droppedTokens: [] }
  }
}

export const settings: BenchSettings = {
  model,
  schedulers: ['flow-euler', 'euler'],
  policies: ['sada', { name: 'every-n', n: 2 }],
  steps: 20,
  prompts: ['full', 'short', 'full', 'short'].map((kind, k) => ({ kind, prompt: `<b>"${k}" & more</b>` })),
  batch: 2,
  guidance: 3,
  seed: 0,
  quick: false,
}
export const silent: BenchProgress = { start() {}, note() {}, advance() {} }

export function resultOf(cases: readonly MeasuredCase[]): BenchResult {
  return {
    schema: 'sada-bench/1',
    created: '2026-01-02T03:04:05.000Z',
    quick: false,
    machine: { cpu: 'A processor', cores: 2, memory_gib: 4, platform: 'linux-x64', instruction_set: 'scalar', load_average: 3 },
    versions: { sada: '0.0.0', commit: null, node: '20', onnxruntime: '1', addon: '0' },
    model: { name: 'fake', bytes: 1, size: [SIZE, SIZE], tokens: 4, threads: 0 },
    cases: cases.map(({ figures }) => figures),
  }
}
