import * as v from 'valibot'
import { SadaError } from '../errors.ts'

// What every `plan.json` says of a network's stages, whichever of the two formats it has.

export const size = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 31 - 1))
export const count = v.pipe(v.number(), v.minValue(0))
export const names = v.array(v.string())
/** A plain file name: what lies elsewhere cannot be named. */
export const fileName = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'Expected a plain file name beside plan.json'),
)
export const hashedFile = { file: fileName, sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)) }

export const stage = v.object({
  /** Engines are kept in files of these names (`sada engines build --out`). */
  name: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'Expected a plain name')),
  /** `dense` works on the whole map; `tokens` on any subset of its tokens, independently of where they lie. */
  kind: v.picklist(['dense', 'tokens']),
  ...hashedFile,
  inputs: names,
  outputs: names,
  /** Floating-point operations of one row with n tokens: fixed + per_token·n + per_token_pair·n². */
  flops: v.object({ fixed: count, per_token: count, per_token_pair: count }),
})

/** What a stage's name, inputs and outputs say of it. */
type Stage = Pick<v.InferOutput<typeof stage>, 'name' | 'inputs' | 'outputs'>

/** Throws MANIFEST_INVALID where two stages share a name, or one reads what is neither `given` nor made before, or has no shape. */
export function checkStages(stages: readonly Stage[], tensors: object, given: readonly string[], path: string): void {
  const made = new Set(given)
  for (const [k, { name, inputs, outputs }] of stages.entries()) {
    const invalid = (what: string): SadaError => new SadaError('MANIFEST_INVALID', `${path}: /stages/${k} ${what}.`)
    if (stages.findIndex((each) => each.name === name) !== k) throw invalid(`has the name "${name}" of another stage`)
    const shapeless = [...inputs, ...outputs].find((each) => !Object.hasOwn(tensors, each))
    if (shapeless !== undefined) throw invalid(`uses "${shapeless}", which has no shape in /tensors`)
    const early = inputs.find((each) => !made.has(each))
    if (early !== undefined) throw invalid(`reads "${early}" before anything makes it`)
    for (const each of outputs) made.add(each)
  }
}
