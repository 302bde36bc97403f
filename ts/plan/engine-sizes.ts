import { checkNames, invalidArgument } from '../errors.ts'

/** What calls may ask of compiled engines. The more they may, the more memory engines take, and the less any one size is tuned for. */
export interface EngineSizes {
  /** Pictures or sounds of one call, at most: 1 … 64; default 2. */
  readonly pictures?: number | undefined
  /** Pixels, from the least to the most, each as `generate` takes it; default the model's own size alone, for which engines are fastest. */
  readonly width?: readonly [number, number] | undefined
  /** As `width`. */
  readonly height?: readonly [number, number] | undefined
  /** Length of a sound in seconds, from the least to the most; default the model's own. */
  readonly seconds?: readonly [number, number] | undefined
}

const NAMES: Readonly<Record<keyof EngineSizes, true>> = { pictures: true, width: true, height: true, seconds: true }

/** Throws INVALID_ARGUMENT or UNKNOWN_NAME for what can be nobody's sizes; those that a model does not take are its family's to refuse. */
export function checkEngineSizes(sizes: EngineSizes | undefined): void {
  if (sizes === undefined) return
  if (typeof sizes !== 'object' || sizes === null || Array.isArray(sizes))
    throw invalidArgument('engineSizes', `an object with ${Object.keys(NAMES).join(', ')}`, sizes)
  checkNames(sizes, NAMES, { within: 'engineSizes' })
  const { pictures = 1, width, height, seconds } = sizes
  if (!Number.isInteger(pictures) || pictures < 1 || pictures > 64)
    throw invalidArgument('engineSizes.pictures', 'an integer from 1 to 64', pictures)
  for (const [name, range] of Object.entries({ width, height, seconds })) {
    const isNumber = name === 'seconds' ? Number.isFinite : Number.isInteger
    const fits = Array.isArray(range) && range.length === 2 && range.every(isNumber) && range[0] > 0 && range[0] <= range[1]
    const expected = name === 'seconds' ? 'two numbers above 0 that ascend' : 'two whole numbers of pixels that ascend'
    if (range !== undefined && !fits) throw invalidArgument(`engineSizes.${name}`, expected, range, 'The least and the most.')
  }
}
