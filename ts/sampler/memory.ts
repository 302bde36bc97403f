import { checkNames, invalidArgument, SadaError } from '../errors.ts'
import { loadAddon } from '../native/load.ts'
import type { GpuRef, Workspace } from '../native/types.ts'
import { bytesOf, TENSOR_ALIGNMENT, type Storage, type TensorUse, type WorkspacePlan } from '../native/workspace-plan.ts'
import type { Policy } from '../policy/policy.ts'
import type { Network } from './network.ts'

/** What a run is prepared for: to be run, until a signal fires, or to be planned, when nothing is computed. */
export type Purpose = AbortSignal | 'planning'

/** What a run may take. */
export interface MemoryOptions {
  /**
   * Bytes where the run's tensors lie: on the GPU, or without one in host memory; 0 or more, default without end. A run that would take more keeps what it remembers
   * with less precision, then remembers less, and says so in the trace's warnings; INVALID_ARGUMENT where that is not enough.
   */
  readonly budget?: number | undefined
}

/** What a run takes, in bytes. */
export interface MemoryQuote {
  /** Where its tensors lie. */
  readonly device: 'cpu' | `cuda:${number}`
  /** Allocated there before the first step, and nothing more until the run ends; the sum of `parts`. */
  readonly bytes: number
  /**
   * - `latents`: states and clean samples of the sampler;
   * - `history`: what the policy keeps of steps before;
   * - `caches`: features of tokens and stages that are used again;
   * - `conditioning`: what the network is told at every step;
   * - `network`: its inputs, its outputs, and what passes between its stages;
   * - `staging`: copies that bring rows together;
   * - `scratch`: on a GPU, partial sums of its kernels;
   * - `alignment`: what lies between tensors.
   */
  readonly parts: Readonly<Record<TensorUse | 'scratch' | 'alignment', number>>
  /** With a GPU, what it takes of host memory: page-locked sums, and copies of a stage's tensors for a network on the CPU. */
  readonly host: { readonly pinned: number; readonly copies: number }
  /** Working memory inside the engine, where it says: TensorRT's arena, which all runs of a model share. Not in `bytes`. */
  readonly activations?: number
  readonly storage: StorageChoice
  /** What a budget made of the run, in words; empty: nothing. */
  readonly warnings: readonly string[]
}

/** How what is remembered is stored. States, and what the network reads and writes, are float32 always. */
export interface StorageChoice {
  /** Clean samples and velocities of steps before: of the size of latents. */
  readonly history: Storage
  /** Outputs of stages: of any size, as networks have them. */
  readonly features: Storage
}

export const FULL: StorageChoice = { history: 'float32', features: 'float32' }

/** The calls of a network beside its stages, and the most that the tensors of one stage take. */
export interface NetworkNeeds {
  /** Elements of its longest step. */
  readonly stepLength: number
  /** Tokens that a pass gathers at most. */
  readonly indices: number
  /** Bytes of the inputs and outputs of one stage. */
  readonly stageBytes: number
}

/** What a workspace is made from. */
export interface RunPlan extends WorkspacePlan {
  readonly tensors: readonly { readonly length: number; readonly storage: Storage; readonly use: TensorUse }[]
  readonly stageBytes: number
}

/** The largest calls of a run: of its steps over latents, and of its network. */
export function needsOf(
  { tokens }: Network,
  latents: readonly Float32Array[],
  { stepLength, indices, stageBytes }: NetworkNeeds = { stepLength: 0, indices: 0, stageBytes: 0 },
): Pick<RunPlan, 'calls' | 'stageBytes'> {
  const [{ length }] = latents
  const calls = { length: Math.max(stepLength, length), members: latents.length, tokenLength: tokens ? length : 0, indices }
  return { calls, stageBytes }
}

/** What a memory budget can change of a run. */
export interface RunSetting {
  readonly policy: Policy
  readonly storage: StorageChoice
}

/** A run as far as it is prepared before its first step: what of it a plan needs. */
export interface PreparedRun {
  readonly needs: Pick<RunPlan, 'calls' | 'stageBytes'>
  /** The policy's options as they hold for the run. */
  readonly policyOptions: Readonly<Record<string, unknown>>
}

/** Prepares a run in a workspace: the one place that says which tensors it has. */
export type PrepareRun = (workspace: Workspace, setting: RunSetting, purpose: Purpose) => Promise<PreparedRun>

/** Stands in for the workspace of a run that is planned: notes what it is asked for. */
class Rehearsal implements Workspace {
  readonly inlineElements: number
  readonly tensors: RunPlan['tensors'][number][] = []

  constructor(gpu: GpuRef | undefined) {
    this.inlineElements = gpu === undefined ? loadAddon().inlineElements : 0
  }

  allocate(length: number, storage: Storage = 'float32', use: TensorUse = 'network'): number {
    return this.tensors.push({ length, storage, use }) - 1
  }

  write(): void {}

  read(): never {
    throw new SadaError('INTERNAL', 'A run that is only planned was to compute.')
  }

  step(): never {
    return this.read()
  }

  graphs(): never {
    return this.read()
  }

  dispose(): void {}
}

/** A planned run: the setting it is made with, its memory, and what a budget changed, in words. */
export interface PlannedRun {
  readonly setting: RunSetting
  readonly plan: RunPlan
  readonly warnings: readonly string[]
}

/** Plans a run, within a budget where there is one. Throws INVALID_ARGUMENT where no setting fits into it. */
export async function planRun(
  prepare: PrepareRun,
  policy: Policy,
  gpu: GpuRef | undefined,
  memory: MemoryOptions | undefined,
): Promise<PlannedRun> {
  const budget = checkBudget(memory)
  let setting: RunSetting = { policy, storage: FULL }
  let found = await rehearse(prepare, setting, gpu)
  const warnings: string[] = []
  for (const change of CHANGES) {
    while (found.bytes > budget) {
      const next = change(setting, found.policyOptions)
      if (next === undefined) break
      const lighter = await rehearse(prepare, next.setting, gpu)
      if (lighter.bytes >= found.bytes) break
      warnings.push(`Memory budget of ${budget} bytes: ${next.says}.`)
      setting = next.setting
      found = lighter
    }
  }
  if (found.bytes <= budget) return { setting, plan: found.plan, warnings }
  const hint = 'Fewer or smaller results at once, or another policy, take less.'
  throw invalidArgument('memory.budget', `at least ${found.bytes}, the bytes that this run takes at the least`, budget, hint)
}

/** A way to take less: undefined where it has been gone. */
type Change = (
  setting: RunSetting,
  policyOptions: Readonly<Record<string, unknown>>,
) => { readonly setting: RunSetting; readonly says: string } | undefined

/** What a budget changes, one after the other: what costs the least first. */
const CHANGES: readonly Change[] = [
  // Stages' outputs have any range: bfloat16 has float32's. Latents have a small one: float16 is eight times finer.
  (setting) => stored(setting, 'features', 'bfloat16', 'outputs of stages are remembered in bfloat16'),
  (setting) => stored(setting, 'history', 'float16', "the policy's history is kept in float16"),
  (setting, options) => {
    const lighter = setting.policy.rememberingLess?.(options)
    return lighter && { setting: { ...setting, policy: lighter.policy }, says: lighter.says }
  },
]

function stored(setting: RunSetting, what: keyof StorageChoice, as: Storage, says: string): ReturnType<Change> {
  if (setting.storage[what] === as) return undefined
  return { setting: { ...setting, storage: { ...setting.storage, [what]: as } }, says }
}

async function rehearse(prepare: PrepareRun, setting: RunSetting, gpu: GpuRef | undefined) {
  const workspace = new Rehearsal(gpu)
  const { needs, policyOptions } = await prepare(workspace, setting, 'planning')
  const plan: RunPlan = { tensors: workspace.tensors, ...needs }
  return { plan, policyOptions, bytes: quoteOf({ setting, plan, warnings: [] }, gpu).bytes }
}

/** What a planned run takes. `activations`: of the engine, where it says; `isBesideGpu`: the network runs on the CPU. */
export function quoteOf(
  { setting, plan, warnings }: PlannedRun,
  gpu: GpuRef | undefined,
  activations?: number,
  isBesideGpu = true,
): MemoryQuote {
  const scratch = gpu === undefined ? { device: 0, pinned: 0 } : loadAddon().gpuScratch(gpu.library, plan.calls)
  const parts = {
    latents: 0,
    history: 0,
    caches: 0,
    conditioning: 0,
    network: 0,
    staging: 0,
    scratch: scratch.device,
    alignment: 0,
  }
  for (const { length, storage, use } of plan.tensors) {
    const bytes = length * bytesOf(storage)
    parts[use] += bytes
    parts.alignment += Math.ceil(bytes / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT - bytes
  }
  return {
    device: gpu === undefined ? 'cpu' : `cuda:${gpu.index}`,
    bytes: Object.values(parts).reduce((sum, part) => sum + part, 0),
    parts,
    host: { pinned: scratch.pinned, copies: gpu !== undefined && isBesideGpu ? plan.stageBytes : 0 },
    ...(activations !== undefined && { activations }),
    storage: setting.storage,
    warnings,
  }
}

/** Checks `memory`; no budget is one without end. */
function checkBudget(memory: MemoryOptions | undefined): number {
  if (memory === undefined) return Infinity
  // Of a list, a Map or a date no field is asked for, and none would be missed.
  if (Object.prototype.toString.call(memory) !== '[object Object]')
    throw invalidArgument('memory', 'an object { budget }', memory)
  checkNames(memory, { budget: true }, { within: 'memory' })
  const { budget } = memory
  if (budget === undefined) return Infinity
  if (typeof budget !== 'number' || !(budget >= 0)) throw invalidArgument('memory.budget', 'a number of bytes', budget)
  return budget
}
