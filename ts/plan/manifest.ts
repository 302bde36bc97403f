import * as v from 'valibot'
import { pointerOf, SadaError } from '../errors.ts'
import { checkStages, count, fileName, hashedFile, names, size, stage } from './stage-schema.ts'

/** A model's `plan.json`: its network as stages, its text encoder, and how its samples are to be read. */

/** An id of the text encoder's vocabulary. */
const token = v.pipe(v.number(), v.integer(), v.minValue(0))

const manifest = v.object({
  schema: v.literal('sada-plan/1'),
  name: v.string(),
  description: v.string(),
  license: v.string(),
  /** [channels, height, width] of one member's latents. */
  latents: v.tuple([size, size, size]),
  prediction: v.picklist(['epsilon', 'v_prediction', 'sample', 'flow_prediction']),
  /** `flow`: the network is given x/(α+σ) at level σ/(α+σ), whatever solver runs. */
  parameterisation: v.picklist(['flow']),
  output: v.object({ kind: v.literal('image'), range: v.tuple([v.number(), v.number()]) }),
  tokens: v.object({ grid: v.tuple([size, size]), patch: v.tuple([size, size]) }),
  /** Shape of every tensor that passes between stages; `rows` and `tokens` are the dynamic dimensions. */
  tensors: v.record(v.string(), v.array(v.union([size, v.picklist(['rows', 'tokens'])]))),
  text: v.object({
    ...hashedFile,
    bytes: size,
    vocabulary: fileName,
    length: size,
    /** What counts as a word; the one pattern there is (a free one could hang on a hostile prompt). */
    pattern: v.literal('[a-z]+|,'),
    /** Words read as other words. */
    aliases: v.optional(v.record(v.string(), v.string()), {}),
    lowercase: v.boolean(),
    pad: token,
    unknown: token,
    unconditional: v.array(token),
    input: v.string(),
    outputs: names,
  }),
  stages: v.pipe(v.array(v.object({ ...stage.entries, bytes: size })), v.minLength(1)),
  /** What a call could ask for, too. */
  defaults: v.object({
    scheduler: v.string(),
    steps: v.pipe(size, v.maxValue(1000)),
    guidance_scale: v.pipe(count, v.maxValue(100)),
  }),
  schedulers: v.record(v.string(), v.record(v.string(), v.unknown())),
  grammar: v.optional(v.unknown()),
  prompts: v.optional(fileName),
})

export type Manifest = v.InferOutput<typeof manifest>
export type Stage = Manifest['stages'][number]

/** Checks a parsed manifest; MANIFEST_INVALID names the place as a JSON pointer. */
export function readManifest(parsed: unknown, path: string): Manifest {
  const result = v.safeParse(manifest, parsed)
  if (!result.success) {
    const [issue] = result.issues
    throw new SadaError('MANIFEST_INVALID', `${path}: ${issue.message} at ${pointerOf(issue)}.`)
  }
  checkReferences(result.output, path)
  checkShapes(result.output, path)
  return result.output
}

/** Every tensor that a stage reads must have a shape, and be made by the text encoder or an earlier stage. */
function checkReferences({ tensors, text, stages, defaults, schedulers }: Manifest, path: string): void {
  if (!Object.hasOwn(schedulers, defaults.scheduler))
    throw new SadaError('MANIFEST_INVALID', `${path}: "${defaults.scheduler}" of /defaults/scheduler is not in /schedulers.`)
  if (text.unconditional.length > text.length)
    throw new SadaError('MANIFEST_INVALID', `${path}: /text/unconditional has more tokens than /text/length, ${text.length}.`)
  const k = stages.findIndex(({ name }) => name === 'text')
  if (k >= 0) throw new SadaError('MANIFEST_INVALID', `${path}: /stages/${k} has the name "text" of the text encoder.`)
  checkStages(stages, tensors, ['sample', 'level', ...text.outputs], path)
  const kinds = stages.map(({ kind }) => kind).join(' ')
  if (!/^(dense ?)*(tokens ?)*(dense ?)*$/.test(kinds)) {
    throw new SadaError('MANIFEST_INVALID', `${path}: the stages of kind "tokens" must follow each other in /stages.`)
  }
}

/** What a run writes and takes back has the shape of the latents, stages of tokens make tokens, and these cover the latents. */
function checkShapes({ tensors, latents, tokens: { grid, patch }, stages }: Manifest, path: string): void {
  const [output] = stages.at(-1)!.outputs
  if (output === undefined) throw new SadaError('MANIFEST_INVALID', `${path}: the last of /stages makes nothing.`)
  const wanted = { sample: ['rows', ...latents], level: ['rows'], [output]: ['rows', ...latents] }
  for (const [name, shape] of Object.entries(wanted)) {
    if (String(tensors[name]) === String(shape)) continue
    const found = Object.hasOwn(tensors, name) ? `[${tensors[name].join(', ')}]` : 'none'
    throw new SadaError('MANIFEST_INVALID', `${path}: expected /tensors/${name} to be [${shape.join(', ')}], it is ${found}.`)
  }
  for (const { name: own, kind, outputs } of stages) {
    const whole = outputs.find((name) => kind === 'tokens' && !tensors[name].includes('tokens'))
    if (whole === undefined) continue
    const made = `"${whole}", [${tensors[whole].join(', ')}], which is not of tokens`
    throw new SadaError('MANIFEST_INVALID', `${path}: the stage "${own}" of kind "tokens" makes ${made}.`)
  }
  const covered = grid.map((count, k) => count * patch[k])
  if (covered[0] === latents[1] && covered[1] === latents[2]) return
  const sides = `${latents[1]} × ${latents[2]}`
  throw new SadaError('MANIFEST_INVALID', `${path}: /tokens cover ${covered.join(' × ')} of latents that are ${sides}.`)
}
