import type { AuditReport } from './audit.ts'
import type { GraphReport } from '../native/types.ts'
import type { RemainingTime } from './remaining.ts'
import type { Decision, StepAction, Verdict } from '../policy/policy.ts'

export type { StepAction }

/** One step of one member. */
export interface MemberStep {
  /** 0-based. */
  readonly step: number
  /** The scheduler's timestep, as the network is told it. */
  readonly timestep: number
  /**
   * How the step got its clean-sample estimate. `run`: the whole network ran; `prune`: on some of its tokens;
   * `partial`: some stages of the network ran, the others' outputs were predicted. Without the network: `extrapolate`, `interpolate`, `reuse`.
   */
  readonly action: StepAction
  /** Mean of the stability criterion, where it was evaluated; negative means stable. */
  readonly criterion?: number
  /** Relative change of the feature that the policy watches, where it does. */
  readonly change?: number
  /** Of a skip that was computed as well (`audit`): root mean square error of what stood in for the clean sample, in its own unit. */
  readonly auditedError?: number
  /**
   * Error of a skip's prediction, where the policy measured it (computed steps) or estimated it (skips). Of `sada` and `auto` the root mean square
   * in the clean sample's own unit; of `easycache` and `seacache` and their like relative, as they publish it.
   */
  readonly error?: number
  /** In a replay: the largest relative difference of what was measured from what the recording has, where there is one. */
  readonly deviation?: number
  /** In a replay: what the policy itself would have done, where that is something else. */
  readonly own?: StepAction
  /** Tokens computed, where fewer than all. */
  readonly keptTokens?: number
  /** Share of the network's floating-point operations that were made, where fewer than all (partial passes). */
  readonly flopShare?: number
  /** Of the tokens, the share whose own criterion is ≥ 0; only where `layout` was given to `sample`, and the policy evaluated the criterion for each of them. */
  readonly unstableTokens?: number
  /**
   * Wall time of the step, in milliseconds; members of a batch share it, and so do the steps that were waited for together where the
   * decisions are made on the device.
   */
  readonly ms: number
}

export type StepInProgress = { -readonly [K in keyof MemberStep]: MemberStep[K] }

/** The run of one member. */
export interface MemberTrace {
  /** As many as the run has. */
  readonly steps: readonly MemberStep[]
  /** Network runs of this member, a guided pair counting one, a pruned or partial pass one; one that was not finite counts, and the whole one made instead. */
  readonly nfe: number
  /** With `audit`: what the recomputed skips say of the whole. */
  readonly audit?: AuditReport
}

/** What happened in a run: plain data, fit for JSON. */
export interface Trace {
  /** `'flow-euler'`, `'dpm++'`, `'dpm++-sde'`, `'euler'` or `'euler-ancestral'`. */
  readonly scheduler: string
  /** The policy's name, a preset behind a slash. */
  readonly policy: string
  /** The policy's options as they held in the run, defaults among them; of a replay those of the recorded policy, which is `policy` here. */
  readonly options: Readonly<Record<string, unknown>>
  /** Settings, and fields of the scheduler's configuration, that could not have an effect; what a budget changed; what did not work as it should; a time that was not kept. Absent where there were none. */
  readonly warnings?: readonly string[]
  /** With an engine on a GPU: CUDA graphs of the network's passes, recorded in this run and launched. Absent where there were none. */
  readonly graphs?: Pick<GraphReport, 'captured' | 'launched'>
  /** Steps that were made. */
  readonly steps: number
  /** Guidance scale between two branches of the network; 1 where there is one branch, as with guidance that is distilled; in `sample` what it was told. */
  readonly guidance: number
  /** One for each member of the batch, of pictures or sounds for each prompt. */
  readonly members: readonly MemberTrace[]
  /** Where the policy's decisions were made, where that is not the host. */
  readonly decidedOn?: 'device'
  /** Wall time of the sampling loop, in milliseconds. */
  readonly ms: number
  /** Part of `ms` that was spent outside the network: the sampler's own cost. */
  readonly overheadMs: number
}

/** Told to `onStep` after every step. */
export interface StepEvent {
  /** The step that was made, 0-based: the last is `steps` − 1. */
  readonly step: number
  /** Steps of the run. */
  readonly steps: number
  /** The scheduler's timestep, as the network is told it. */
  readonly timestep: number
  /** What each member did at this step. */
  readonly members: readonly MemberStep[]
  /** Since the first step began, in milliseconds. */
  readonly elapsedMs: number
  /** Expected time to the end of the last step, in milliseconds: from what runs and skips took so far, and how many of each there are likely to be. */
  readonly etaMs: number
  /** The clean sample estimated at this step: a copy, [members, …]. Only inside the callback. */
  readonly denoised: () => Float32Array
  /** The state after this step, in the scheduler's own scale: a copy, [members, …]. Only inside the callback. */
  readonly state: () => Float32Array
}

/** `done`: what the step was, and what its network left out; `unstableTokens`: where a share of them is known. */
export function noteOf(
  step: number,
  timestep: number,
  { decision, keptTokens, flopShare }: { readonly decision: Decision } & Pick<MemberStep, 'keptTokens' | 'flopShare'>,
  verdict: Verdict,
  unstableTokens: number | undefined,
): StepInProgress {
  return {
    step,
    timestep,
    action: decision.kind === 'skip' ? decision.action : decision.kind,
    ...verdict,
    ...(keptTokens !== undefined && { keptTokens }),
    ...(flopShare !== undefined && { flopShare }),
    ...(unstableTokens !== undefined && { unstableTokens }),
    ms: 0,
  }
}

/** What a run says of its CUDA graphs, beside the policy's own warnings. */
export function notesOf(warnings: readonly string[], { failure, ...graphs }: GraphReport): Pick<Trace, 'warnings' | 'graphs'> {
  const refused = `The network's passes were enqueued command by command: ${failure}`
  const all = failure === undefined ? warnings : [...warnings, refused]
  return { ...(all.length > 0 && { warnings: all }), ...(graphs.captured > 0 && { graphs }) }
}

/** `read`: a copy of a buffer of all members, while the callback runs. */
export function eventOf(
  step: number,
  { timesteps, steps }: { readonly timesteps: readonly number[]; readonly steps: number },
  members: readonly { readonly trace: readonly MemberStep[] }[],
  remaining: RemainingTime,
  elapsedMs: number,
  read: (name: 'x' | 'x0Prev') => Float32Array,
): StepEvent {
  const done = members.map(({ trace }) => trace[step])
  remaining.note(done, elapsedMs)
  return {
    step,
    steps,
    timestep: timesteps[step],
    members: done,
    elapsedMs,
    etaMs: remaining.of(members.length),
    denoised: () => read('x0Prev'),
    state: () => read('x'),
  }
}
