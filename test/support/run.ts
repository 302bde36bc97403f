import type { TokenLayout } from '../../ts/native/types.ts'
import { createPolicy } from '../../ts/policy/index.ts'
import type { WrittenPolicy } from '../../ts/policy/spec.ts'
import type { Policy } from '../../ts/policy/policy.ts'
import { never } from '../../ts/sampler/abort.ts'
import { CallbackNetwork, type NetworkFunction } from '../../ts/sampler/callback-network.ts'
import { split } from '../../ts/sampler/latents.ts'
import { DenoisingLoop } from '../../ts/sampler/loop.ts'
import type { StepEvent, Trace } from '../../ts/sampler/trace.ts'
import { parseSchedulerConfig, type PredictionType } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { JsWorkspace } from './js-workspace.ts'
import { mixtureOutput } from './mixture.ts'

export const LENGTH = 256

/** Scheduler configurations of the three solvers, as diffusers writes them. */
export const configs = {
  'flow-euler': { _class_name: 'FlowMatchEulerDiscreteScheduler', shift: 3 },
  'dpm++': {
    _class_name: 'DPMSolverMultistepScheduler',
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    timestep_spacing: 'leading',
    steps_offset: 1,
  },
  euler: {
    _class_name: 'EulerDiscreteScheduler',
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    timestep_spacing: 'leading',
    steps_offset: 1,
  },
} as const

/** The exact denoiser of a Gaussian mixture as a network for any number of members. */
export function mixtureNetwork(scheduler: keyof typeof configs): NetworkFunction {
  const prediction = scheduler === 'flow-euler' ? 'flow_prediction' : 'epsilon'
  return ({ sample, timestep, alpha, sigma }) => {
    const answer = new Float32Array(sample.length)
    for (const [b, member] of split(sample, sample.length / LENGTH).entries()) {
      answer.set(mixtureOutput(member, { alpha, sigma }, timestep, { prediction, rough: true }), b * LENGTH)
    }
    return answer
  }
}

export interface RunSpec {
  readonly scheduler: keyof typeof configs
  readonly policy: WrittenPolicy | Policy
  readonly latents: readonly Float32Array[]
  readonly network?: NetworkFunction
  readonly steps?: number
  /** What `network` predicts, where that is not what the scheduler's configuration says. */
  readonly prediction?: PredictionType
  /** What a member's LENGTH elements are, where the policy is to know: [channels, height, width]. */
  readonly map?: readonly [number, number, number]
  readonly audit?: number
  readonly signal?: AbortSignal
  readonly onStep?: (event: StepEvent) => unknown
}

/** A whole run on the JavaScript workspace, without native code. */
export async function runInJs(spec: RunSpec): Promise<{ latents: Float32Array; trace: Trace }> {
  const { config } = parseSchedulerConfig(configs[spec.scheduler])
  const schedule = createSchedule(config, { steps: spec.steps ?? 50, prediction: spec.prediction })
  const workspace = new JsWorkspace()
  const call = spec.network ?? mixtureNetwork(spec.scheduler)
  const network = new CallbackNetwork(call, workspace, spec.latents.length, LENGTH, { layout: spec.map && layoutOf(spec.map) })
  const policy = typeof spec.policy === 'object' && 'begin' in spec.policy ? (spec.policy as Policy) : createPolicy(spec.policy)
  const latents = spec.latents.map((noise) => noise.map((value) => value * schedule.initNoiseSigma))
  const { signal = never, audit, onStep } = spec
  return new DenoisingLoop({ solver: createSolver(schedule), network, policy, workspace, latents, audit, signal, onStep }).run()
}

const layoutOf = ([channels, ...grid]: readonly [number, number, number]): TokenLayout => ({
  order: 'channels-first',
  channels,
  grid,
  patch: [1, 1],
})
