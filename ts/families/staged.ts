import type { EngineOp, Workspace } from '../native/types.ts'
import type { Manifest } from '../plan/manifest.ts'
import type { Model } from '../plan/model.ts'
import { PlanNetwork, rowsPerMember } from '../plan/plan-network.ts'
import { networkOf } from '../plan/staged-network.ts'
import { RowTensors } from '../plan/row-tensors.ts'
import { finished } from '../sampler/abort.ts'
import { initialLatents, NoiseSource, split, unwritten } from '../sampler/latents.ts'
import type { Purpose } from '../sampler/memory.ts'
import { parseSchedulerConfig } from '../schedule/config.ts'
import { createSchedule } from '../schedule/schedule.ts'
import { createSolver } from '../solver/solver.ts'
import type { Family, FamilyRun, ImageOutput, Offer, Request } from './family.ts'

/** What a model with this `plan.json` can be asked. */
export function offerOf({ defaults, schedulers }: Manifest): Offer {
  const { scheduler, steps, guidance_scale: guidance } = defaults
  return { defaults: { scheduler, steps, guidance }, schedulers: Object.keys(schedulers), takes: [] }
}

/** A model with a `plan.json`: its network in stages, its samples pictures. */
export class Staged implements Family {
  readonly name: string
  readonly makes = 'image'
  readonly size: readonly [number, number]
  readonly engine: Family['engine']
  readonly device: Family['device']
  readonly gpu: Family['gpu']
  readonly withoutGpu: Family['withoutGpu']
  readonly defaults: Offer['defaults']
  readonly schedulers: Offer['schedulers']
  readonly takes: Offer['takes']
  private readonly model: Model

  constructor(model: Model) {
    const { manifest, engine, gpu, withoutGpu } = model
    const [, height, width] = manifest.latents
    this.model = model
    this.name = manifest.name
    this.size = [width, height]
    this.engine = engine
    this.device = model.stages?.device
    this.gpu = gpu
    this.withoutGpu = withoutGpu
    const { defaults, schedulers, takes } = offerOf(manifest)
    this.defaults = defaults
    this.schedulers = schedulers
    this.takes = takes
  }

  async begin(request: Request, workspace: Workspace, purpose: Purpose): Promise<FamilyRun> {
    const { manifest, tokenizer } = this.model
    const { prompts, steps, guidance, seed, scheduler } = request
    const { config } = parseSchedulerConfig(typeof scheduler === 'string' ? manifest.schedulers[scheduler] : scheduler)
    const schedule = createSchedule(config, { steps, prediction: manifest.prediction })
    const encoded = prompts.map((prompt) => tokenizer.encode(prompt))
    const members = prompts.length
    const length = manifest.latents.reduce((product, n) => product * n, 1)
    const noise = new NoiseSource(seed, members)
    const latents = purpose === 'planning' ? unwritten(members, length) : initialLatents(noise, length, schedule.initNoiseSigma)

    const rows = members * rowsPerMember(guidance)
    const tensors = new RowTensors(workspace, manifest.tensors, rows, manifest.tokens.grid[0] * manifest.tokens.grid[1])
    const unconditional = tokenizer.unconditional()
    const ids = encoded.flatMap((each) => (guidance === 1 ? [each.ids] : [each.ids, unconditional]))
    await this.encodeText(workspace, tensors, ids, purpose)
    const [, height, width] = manifest.latents
    const { range } = manifest.output
    const picture = (all: Float32Array): Promise<ImageOutput> =>
      Promise.resolve({ kind: 'image', samples: split(all, members), shape: [3, height, width], range })
    return {
      solver: createSolver(schedule),
      network: new PlanNetwork(networkOf(this.model), workspace, members, guidance, tensors),
      latents,
      noise,
      finish: picture,
      preview: picture,
      unknownWords: [...new Set(encoded.flatMap(({ unknown }) => unknown))],
      droppedTokens: prompts.map(() => 0),
    }
  }

  /** Runs the text encoder over one row of ids for each row of the run; its outputs stay in the workspace. */
  private async encodeText(
    workspace: Workspace,
    tensors: RowTensors,
    ids: readonly Float32Array[],
    purpose: Purpose,
  ): Promise<void> {
    const { text } = this.model.manifest
    const input = workspace.allocate(ids.length * text.length, 'float32', 'conditioning')
    for (const [row, each] of ids.entries()) workspace.write(input, row * text.length, each)
    const op: EngineOp = {
      kind: 'stage',
      session: this.model.sessions.get('text')!,
      inputs: [{ name: text.input, tensor: input, offset: 0, dims: [ids.length, text.length] }],
      outputs: text.outputs.map((name) => tensors.bind('run', name, ids.length)),
    }
    if (purpose === 'planning') return
    await finished(this.model.engine.run(workspace, [op]), purpose, { stage: 'text' })
  }
}
