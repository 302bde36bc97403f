import * as v from 'valibot'
import { SadaError } from '../errors.ts'

/** A model's `plan.json`: its network as stages, its text encoder, and how its samples are to be read. */

const size = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 31 - 1))
const count = v.pipe(v.number(), v.minValue(0))
/** A plain file name: what lies outside the model's folder cannot be named. */
const fileName = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'Expected a plain file name inside the model folder'),
)
const file = { file: fileName, sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)), bytes: size }
/** Engines are kept in files of these names (`sada engines build --out`). */
export const stageName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'Expected a plain name'))
const names = v.array(v.string())

const stage = v.object({
  name: stageName,
  /** `dense` works on the whole map; `tokens` on any subset of its tokens, independently of where they lie. */
  kind: v.picklist(['dense', 'tokens']),
  ...file,
  inputs: names,
  outputs: names,
  /** Floating-point operations of one row with n tokens: fixed + per_token·n + per_token_pair·n². */
  flops: v.object({ fixed: count, per_token: count, per_token_pair: count }),
})

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
    ...file,
    vocabulary: fileName,
    length: size,
    /** What counts as a word; the one pattern there is (a free one could hang on a hostile prompt). */
    pattern: v.literal('[a-z]+|,'),
    /** Words read as other words. */
    aliases: v.optional(v.record(v.string(), v.string()), {}),
    lowercase: v.boolean(),
    pad: count,
    unknown: count,
    unconditional: v.array(count),
    input: v.string(),
    outputs: names,
  }),
  stages: v.pipe(v.array(stage), v.minLength(1)),
  defaults: v.object({ scheduler: v.string(), steps: size, guidance_scale: count }),
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
    const pointer = '/' + (issue.path ?? []).map(({ key }) => String(key)).join('/')
    throw new SadaError('MANIFEST_INVALID', `${path}: ${issue.message} at ${pointer}.`)
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
  const made = new Set(['sample', 'level', ...text.outputs])
  for (const [k, { name: own, inputs, outputs }] of stages.entries()) {
    if (own === 'text' || stages.findIndex((each) => each.name === own) !== k)
      throw new SadaError('MANIFEST_INVALID', `${path}: /stages/${k} has the name "${own}" of another stage or the text encoder.`)
    for (const name of [...inputs, ...outputs]) {
      if (!Object.hasOwn(tensors, name))
        throw new SadaError('MANIFEST_INVALID', `${path}: tensor "${name}" of /stages/${k} has no shape in /tensors.`)
    }
    const early = inputs.find((name) => !made.has(name))
    if (early !== undefined)
      throw new SadaError('MANIFEST_INVALID', `${path}: /stages/${k} reads "${early}" before anything makes it.`)
    for (const name of outputs) made.add(name)
  }
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
