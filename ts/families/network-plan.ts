import { dirname, join } from 'node:path'
import { SadaError } from '../errors.ts'
import type { SessionInfo, TensorInfo } from '../native/types.ts'
import { asSadaError } from '../native/load.ts'
import type { Profiles } from '../plan/profiles.ts'
import { Component, hostOf, loadFile, type LoadContext } from './component.ts'
import { OnnxFile } from '../onnx/file.ts'
import { readPlan, type PlanFile } from './plan-file.ts'
import { networkProfiles, planProfiles, type SizeRange } from './size-range.ts'

/** A network in stages, loaded. */
export interface NetworkPlan extends Omit<PlanFile, 'schema' | 'parameterisation'> {
  /** Session of each stage, by its name. */
  readonly sessions: ReadonlyMap<string, number>
}

/** A network by its role: in stages where it has a plan, else whole. `range`: what an engine on the GPU is made for. */
export async function loadNetwork(
  context: LoadContext,
  role: string,
  range?: SizeRange,
): Promise<{ component: Component; plan?: NetworkPlan }> {
  const file = join(dirname(Component.pathOf(context, role)), 'plan.json')
  if (context.stages === false || !(await context.folder.has(file)))
    return { component: await Component.load(context, role, range && networkProfiles(range)) }
  const plan = await readPlan(context.folder, file)
  const sessions = new Map<string, SessionInfo>()
  for (const each of plan.stages) {
    const profiles = range && planProfiles(plan, each, range)
    sessions.set(each.name, await loadStage(context, role, dirname(file), each, profiles))
  }
  const config = await Component.configOf(context, role)
  const info = { session: -1, ...endsOf(plan, sessions, join(context.folder.root, file)) }
  const component = new Component(role, join(context.folder.root, file), config, info, ...hostOf(context, range))
  return { component, plan: { ...plan, sessions: new Map([...sessions].map(([name, { session }]) => [name, session])) } }
}

async function loadStage(
  context: LoadContext,
  role: string,
  subfolder: string,
  { name, file, sha256, inputs, outputs }: PlanFile['stages'][number],
  profiles?: Profiles,
): Promise<SessionInfo> {
  const path = await context.folder.file(join(subfolder, file))
  try {
    const model = await OnnxFile.open(path, join(context.folder.root, subfolder))
    if (model.sha256 !== sha256)
      throw new SadaError('MODEL_CORRUPT', `${path} is not the file that plan.json describes: sha256 ${model.sha256}.`)
    const own = [model.inputs, model.outputs].map((side) => side.map((each) => each.name))
    const fits = String([...own[0]].sort()) === String([...inputs].sort()) && outputs.every((each) => own[1].includes(each))
    if (!fits) {
      const message = `${path}: expected ${inputs.join(', ')} → ${outputs.join(', ')}; the file has ${own[0].join(', ')} → ${own[1].join(', ')}.`
      throw new SadaError('IO_MISMATCH', message)
    }
    return await loadFile(context, `${role}.${name}`, model, profiles)
  } catch (error) {
    throw asSadaError(error, { stage: name })
  }
}

/** The network's own inputs and output, as the stages that have them declare them. */
function endsOf(plan: PlanFile, sessions: ReadonlyMap<string, SessionInfo>, path: string): Omit<SessionInfo, 'session'> {
  const all = [...sessions.values()]
  const inputs = [plan.sample, plan.time, ...plan.conditioning, ...plan.controls].map((name): TensorInfo => {
    const found = all.flatMap((each) => each.inputs).find((each) => each.name === name)
    if (found === undefined) throw new SadaError('MANIFEST_INVALID', `${path}: no stage reads the input "${name}".`)
    return found
  })
  return { inputs, outputs: all.at(-1)!.outputs.filter(({ name }) => name === plan.output) }
}
