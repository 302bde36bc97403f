import type { Engine, TokenLayout } from '../native/types.ts'
import type { StageRange } from '../policy/policy.ts'
import type { NetworkMoment } from '../sampler/network.ts'
import { noiseShare } from '../schedule/noise-level.ts'
import type { Stage } from './manifest.ts'
import type { Model } from './model.ts'

/** A staged network whose stages have been loaded, as a run uses it. */
export interface StagedNetwork {
  readonly engine: Engine
  /** Whether that runs on the GPU where the workspace is. */
  readonly onGpu?: boolean
  /** Session of each stage, by its name. */
  readonly sessions: ReadonlyMap<string, number>
  readonly stages: readonly (Pick<Stage, 'name' | 'kind' | 'inputs' | 'outputs'> & Partial<Pick<Stage, 'flops'>>)[]
  /** Ranges of stages between skip connections, each within the next. */
  readonly reusable?: readonly StageRange[]
  /** Tensors that are written once for every row of the run, before the first step. */
  readonly conditioning: readonly string[]
  /** Where tokens lie in the state; absent: they are not told apart. */
  readonly layout?: TokenLayout
  /** Tokens of one member, where that is not what the layout says. */
  readonly tokenCount?: number
  /** The tensors that every step writes: the state times `scale`, and `level`, one number for each row. */
  readonly input: {
    readonly sample: string
    readonly level: string
    readonly scale: (moment: NetworkMoment) => number
    readonly value: (moment: NetworkMoment) => number
    /** What follows the state in a member's rows of `sample`, the same at every step. */
    readonly beside?: readonly Float32Array[]
  }
}

/** A model with a `plan.json` as a network: it is given x/(α+σ) at the flow level σ/(α+σ), whatever solver runs. */
export function networkOf(model: Model): StagedNetwork {
  const { stages, tokens, latents, text } = model.manifest
  const sessions = (model.stages ?? model).sessions
  const engine = model.stages?.device.engine ?? model.engine
  return {
    engine,
    onGpu: model.stages?.device.onGpu,
    sessions,
    stages,
    conditioning: text.outputs,
    layout: { order: 'channels-first', channels: latents[0], grid: tokens.grid, patch: tokens.patch },
    input: {
      sample: 'sample',
      level: 'level',
      scale: ({ inputScale, level: { alpha, sigma } }) => inputScale / (alpha + sigma),
      value: ({ level }) => noiseShare(level),
    },
  }
}
