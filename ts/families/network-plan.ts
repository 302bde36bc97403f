import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { SadaError } from '../errors.ts'
import { asSadaError } from '../native/load.ts'
import type { SessionInfo, TensorInfo } from '../native/types.ts'
import { OnnxFile } from '../onnx/file.ts'
import { Component, type LoadContext } from './component.ts'

// `plan.json` beside a network's model.onnx: the same network in stages, as models/export writes it.

const count = v.pipe(v.number(), v.minValue(0))
const size = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 31 - 1))
const fileName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'Expected a plain file name beside plan.json'))
/** `height/2`: half of the latents' height, rounded up. */
const extent = v.pipe(v.string(), v.regex(/^(height|width)(\/\d{1,3})?$/, 'Expected height, width, or a fraction of one'))
const names = v.array(v.string())

const stage = v.object({
  name: v.pipe(v.string(), v.minLength(1)),
  kind: v.picklist(['dense', 'tokens']),
  file: fileName,
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  inputs: names,
  outputs: v.pipe(names, v.minLength(1)),
  flops: v.object({ fixed: count, per_token: count, per_token_pair: count }),
})

const schema = v.object({
  schema: v.literal('sada-plan/2'),
  parameterisation: v.literal('native'),
  sample: v.string(),
  time: v.string(),
  output: v.string(),
  conditioning: names,
  controls: names,
  tokens: v.object({ grid: v.nullable(v.tuple([extent, extent])), patch: v.tuple([size, size]) }),
  tensors: v.record(v.string(), v.array(v.union([size, v.picklist(['rows', 'tokens', 'length']), extent]))),
  stages: v.pipe(v.array(stage), v.minLength(1)),
  /** Ranges between skip connections, each within the next. */
  reuse: v.optional(v.array(v.object({ from: v.string(), to: v.string() })), []),
})

type PlanFile = v.InferOutput<typeof schema>

/** A network in stages, loaded. */
export interface NetworkPlan extends Omit<PlanFile, 'schema' | 'parameterisation'> {
  /** Session of each stage, by its name. */
  readonly sessions: ReadonlyMap<string, number>
}

/** A network by its role: in stages where it has a plan, else whole. */
export async function loadNetwork(context: LoadContext, role: string): Promise<{ component: Component; plan?: NetworkPlan }> {
  const file = join(dirname(Component.pathOf(context, role)), 'plan.json')
  if (context.stages === false || !(await context.folder.has(file))) return { component: await Component.load(context, role) }
  const plan = await readPlan(context, file)
  const sessions = new Map<string, SessionInfo>()
  for (const each of plan.stages) sessions.set(each.name, await loadStage(context, dirname(file), each))
  const config = await context.folder.optionalJson(join(dirname(file), 'config.json'))
  const info = { session: -1, ...endsOf(plan, sessions, join(context.folder.root, file)) }
  const component = new Component(role, join(context.folder.root, file), config, info, context.engine)
  return { component, plan: { ...plan, sessions: new Map([...sessions].map(([name, { session }]) => [name, session])) } }
}

/** Checks a plan; MANIFEST_INVALID names the place as a JSON pointer. */
async function readPlan({ folder }: LoadContext, file: string): Promise<PlanFile> {
  const result = v.safeParse(schema, await folder.json(file))
  const path = join(folder.root, file)
  if (!result.success) {
    const [issue] = result.issues
    const pointer = '/' + (issue.path ?? []).map(({ key }) => String(key)).join('/')
    throw new SadaError('MANIFEST_INVALID', `${path}: ${issue.message} at ${pointer}.`)
  }
  const plan = result.output
  const made = new Set([plan.sample, plan.time, ...plan.conditioning, ...plan.controls])
  for (const [k, { inputs, outputs, name }] of plan.stages.entries()) {
    const invalid = (what: string): SadaError => new SadaError('MANIFEST_INVALID', `${path}: /stages/${k} ${what}.`)
    if (plan.stages.findIndex((each) => each.name === name) !== k) throw invalid(`has the name "${name}" of another stage`)
    const shapeless = [...inputs, ...outputs].find((each) => !Object.hasOwn(plan.tensors, each))
    if (shapeless !== undefined) throw invalid(`uses "${shapeless}", which has no shape in /tensors`)
    const early = inputs.find((each) => !made.has(each))
    if (early !== undefined) throw invalid(`reads "${early}" before anything makes it`)
    for (const each of outputs) made.add(each)
  }
  const indexOf = (stage: string): number => plan.stages.findIndex(({ name }) => name === stage)
  for (const [k, { from, to }] of plan.reuse.entries()) {
    if (indexOf(from) < 0 || indexOf(to) < indexOf(from))
      throw new SadaError('MANIFEST_INVALID', `${path}: /reuse/${k} is no range of stages: "${from}" to "${to}".`)
  }
  if (plan.stages.at(-1)!.outputs[0] !== plan.output)
    throw new SadaError('MANIFEST_INVALID', `${path}: the last stage does not make /output, "${plan.output}".`)
  if (plan.tokens.grid === null && plan.stages.some(({ kind }) => kind === 'tokens'))
    throw new SadaError('MANIFEST_INVALID', `${path}: there are stages of kind "tokens", but no /tokens/grid.`)
  return plan
}

async function loadStage(
  context: LoadContext,
  subfolder: string,
  { name, file, sha256, inputs, outputs }: PlanFile['stages'][number],
): Promise<SessionInfo> {
  const path = await context.folder.file(join(subfolder, file))
  try {
    const model = await OnnxFile.open(path, join(context.folder.root, subfolder))
    if (model.sha256 !== sha256)
      throw new SadaError('MODEL_CORRUPT', `${path} is not the file that plan.json describes: sha256 ${model.sha256}.`)
    const { engine, threads, memoryArena } = context
    const info = await model.load(engine, { threads, memoryArena })
    const own = { inputs: info.inputs.map((each) => each.name), outputs: info.outputs.map((each) => each.name) }
    const fits =
      String([...own.inputs].sort()) === String([...inputs].sort()) && outputs.every((each) => own.outputs.includes(each))
    if (fits) return info
    const message = `${path}: expected ${inputs.join(', ')} → ${outputs.join(', ')}; the file has ${own.inputs.join(', ')} → ${own.outputs.join(', ')}.`
    throw new SadaError('IO_MISMATCH', message)
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
