import { loadAddon } from '../../ts/native/load.ts'
import type { Workspace } from '../../ts/native/types.ts'
import type { Model } from '../../ts/plan/model.ts'
import { PlanNetwork, rowsPerMember } from '../../ts/plan/plan-network.ts'
import { networkOf } from '../../ts/plan/staged-network.ts'
import { RowTensors } from '../../ts/plan/row-tensors.ts'
import { createPolicy } from '../../ts/policy/index.ts'
import type { Policy } from '../../ts/policy/policy.ts'
import { never } from '../../ts/sampler/abort.ts'
import { initialLatents, NoiseSource } from '../../ts/sampler/latents.ts'
import { DenoisingLoop } from '../../ts/sampler/loop.ts'
import type { Trace } from '../../ts/sampler/trace.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'

export interface StagedRun {
  readonly model: Model
  readonly policy: Policy | string
  readonly prompts: readonly string[]
  /** One generator for each member. */
  readonly seeds: readonly number[]
  readonly steps: number
  readonly guidance?: number
  readonly scheduler?: string
  readonly signal?: AbortSignal
}

/** The network of a run over the bundled model, its prompts encoded. */
export async function stagedNetwork(model: Model, workspace: Workspace, prompts: readonly string[], guidance: number) {
  const { text, tensors: shapes, tokens } = model.manifest
  const rows = prompts.length * rowsPerMember(guidance)
  const tensors = new RowTensors(workspace, shapes, rows, tokens.grid[0] * tokens.grid[1])
  const input = workspace.allocate(rows * text.length)
  const unconditional = model.tokenizer.unconditional()
  const ids = prompts.flatMap((prompt) => [model.tokenizer.encode(prompt).ids, ...(guidance === 1 ? [] : [unconditional])])
  for (const [row, each] of ids.entries()) workspace.write(input, row * text.length, each)
  const inputs = [{ name: text.input, tensor: input, offset: 0, dims: [rows, text.length] }]
  const outputs = text.outputs.map((name) => tensors.bind('run', name, rows))
  await model.engine.run(workspace, [{ kind: 'stage', session: model.sessions.get('text')!, inputs, outputs }]).done
  return new PlanNetwork(networkOf(model), workspace, prompts.length, guidance, tensors)
}

/** What the pipeline does, with a policy that need not have a name. */
export async function runStaged(run: StagedRun): Promise<{ latents: Float32Array; trace: Trace }> {
  const { model, prompts, seeds, steps, guidance = 3, scheduler = 'flow-euler', signal = never } = run
  const { manifest } = model
  const { config } = parseSchedulerConfig(manifest.schedulers[scheduler])
  const schedule = createSchedule(config, { steps, prediction: manifest.prediction })
  const policy = typeof run.policy === 'string' ? createPolicy(run.policy) : run.policy
  const workspace = new (loadAddon().Workspace)()
  try {
    const network = await stagedNetwork(model, workspace, prompts, guidance)
    const length = manifest.latents.reduce((product, n) => product * n, 1)
    const latents = initialLatents(new NoiseSource(seeds, prompts.length), length, schedule.initNoiseSigma)
    return await new DenoisingLoop({ solver: createSolver(schedule), network, policy, workspace, latents, signal }).run()
  } finally {
    workspace.dispose()
  }
}
