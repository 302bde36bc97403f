import { join } from 'node:path'
import * as v from 'valibot'
import { pointerOf, SadaError } from '../errors.ts'
import { checkStages, names, size, stage } from '../plan/stage-schema.ts'
import type { Folder } from './folder.ts'
import type { LatentSize } from './latent-family.ts'

// `plan.json` beside a network's model.onnx: the same network in stages, as models/export writes it.

/** `height/2`: half of the latents' height, rounded up. */
const extent = v.pipe(v.string(), v.regex(/^(height|width)(\/\d{1,3})?$/, 'Expected height, width, or a fraction of one'))

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
  stages: v.pipe(v.array(v.object({ ...stage.entries, outputs: v.pipe(names, v.minLength(1)) })), v.minLength(1)),
  /** Ranges between skip connections, each within the next. */
  reuse: v.optional(v.array(v.object({ from: v.string(), to: v.string() })), []),
})

export type PlanFile = v.InferOutput<typeof schema>

/** Checks a plan; MANIFEST_INVALID names the place as a JSON pointer. */
export async function readPlan(folder: Folder, file: string): Promise<PlanFile> {
  const result = v.safeParse(schema, await folder.json(file))
  const path = join(folder.root, file)
  if (!result.success) {
    const [issue] = result.issues
    throw new SadaError('MANIFEST_INVALID', `${path}: ${issue.message} at ${pointerOf(issue)}.`)
  }
  const plan = result.output
  checkStages(plan.stages, plan.tensors, [plan.sample, plan.time, ...plan.conditioning, ...plan.controls], path)
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

/** A side of a tensor of a plan (`height/2`) for latents of a size. */
export function sideOf(extent: string, [height, width]: LatentSize): number {
  const [name, divisor = '1'] = extent.split('/')
  return Math.ceil((name === 'height' ? height : width) / Number(divisor))
}

/** Rows and columns of the tokens. */
export const gridOf = ({ tokens }: Pick<PlanFile, 'tokens'>, size: LatentSize): [number, number] => {
  const [rows, columns] = tokens.grid ?? ['height', 'width']
  return [sideOf(rows, size), sideOf(columns, size)]
}
