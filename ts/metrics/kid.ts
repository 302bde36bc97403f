import { checkNames, invalidArgument } from '../errors.ts'
import { TorchGenerator } from '../noise.ts'
import { checkPair, drawSubset, take, type Features } from './features.ts'
import { timesItselfPieces, timesTransposedPieces, type Matrix } from './matrix.ts'
import { atOnce, inTurns, type Pieces } from './pieces.ts'

/** What `kid` says. */
export interface Kid {
  /** Mean over the subsets of the unbiased MMD²; can be below zero where the distributions are alike. */
  readonly mean: number
  /** Standard deviation over the subsets (divisor: their number), as the packages report it. It is not that of `mean`. */
  readonly std: number
  /** Subsets that were drawn. */
  readonly subsets: number
  /** Pictures of each set in a subset. */
  readonly subsetSize: number
}

/** What `kid` takes beside the features. */
export interface KidOptions {
  /** At least 1; default 100. */
  readonly subsets?: number | undefined
  /**
   * Pictures drawn from each set per subset, 2 to those of the smaller set. Default: half of the smaller set, at most 1000. clean-fid takes all of a set up
   * to 1000, whose subsets then are one and the same: `subsets: 1, subsetSize: count` gives its value.
   */
  readonly subsetSize?: number | undefined
  /** Of the random subsets, an integer 0 … 2⁵³−1, of which the low 32 bits count. Default 0. */
  readonly seed?: number | undefined
}

/** Above so many pictures the kernels of all pairs are not kept: three tables of this squared in float64. */
const KEPT_PICTURES = 4000

/**
 * Kernel Inception distance (Bińkowski et al. 2018): MMD² with the kernel (x·y/dim + 1)³, unbiased, averaged over random
 * subsets. Its expectation does not depend on how many pictures there are, unlike that of FID. Throws INVALID_ARGUMENT or
 * UNKNOWN_NAME.
 */
export function kid(a: Features, b: Features, options: KidOptions = {}): Kid {
  return atOnce(kidPieces(a, b, options))
}

/** The same, with others having the thread in between. Rejects as `kid` throws, and with the signal's reason. */
export function kidInTurns(a: Features, b: Features, options: KidOptions = {}, signal?: AbortSignal): Promise<Kid> {
  return inTurns(kidPieces(a, b, options), signal)
}

function* kidPieces(a: Features, b: Features, options: KidOptions): Pieces<Kid> {
  checkPair(a, b)
  checkNames(options, { subsets: true, subsetSize: true, seed: true })
  const smaller = Math.min(a.count, b.count)
  const { subsets = 100, subsetSize = Math.min(1000, Math.max(2, Math.floor(smaller / 2))), seed = 0 } = options
  if (!Number.isSafeInteger(subsets) || subsets < 1) throw invalidArgument('subsets', 'an integer of at least 1', subsets)
  if (!Number.isSafeInteger(subsetSize) || subsetSize < 2 || subsetSize > smaller)
    throw invalidArgument('subsetSize', `an integer from 2 to ${smaller}, the pictures of the smaller set`, subsetSize)
  const generator = new TorchGenerator(seed)
  const kept = Math.max(a.count, b.count) <= KEPT_PICTURES ? yield* kernelsOf(a, b) : undefined
  const every = Array.from({ length: subsetSize }, (_, k) => k)
  const values: number[] = []
  while (values.length < subsets) {
    const fromA = drawSubset(generator, a.count, subsetSize)
    const fromB = drawSubset(generator, b.count, subsetSize)
    values.push(
      kept
        ? yield* unbiasedMmd(kept, fromA, fromB)
        : yield* unbiasedMmd(yield* kernelsOf(take(a, fromA), take(b, fromB)), every, every),
    )
  }
  const mean = values.reduce((sum, value) => sum + value, 0) / subsets
  const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / subsets)
  return { mean, std, subsets, subsetSize }
}

/** The kernel of each pair of pictures. */
interface Kernels {
  readonly aa: Matrix
  readonly bb: Matrix
  readonly ab: Matrix
}

function* kernelsOf(a: Features, b: Features): Pieces<Kernels> {
  const matrix = ({ count, dim, values }: Features): Matrix => ({ rows: count, columns: dim, values })
  const [x, y] = [matrix(a), matrix(b)]
  return {
    aa: yield* kernelOf(yield* timesItselfPieces(x), a.dim),
    bb: yield* kernelOf(yield* timesItselfPieces(y), a.dim),
    ab: yield* kernelOf(yield* timesTransposedPieces(x, y), a.dim),
  }
}

/** The kernel of each product, in its place. */
function* kernelOf(products: Matrix, dim: number): Pieces<Matrix> {
  const { rows, columns, values } = products
  for (let i = 0; i < rows; i++) {
    for (let k = i * columns; k < (i + 1) * columns; k++) values[k] = (values[k] / dim + 1) ** 3
    yield
  }
  return products
}

/** MMD² of the pictures at these indices (as many of each): a picture is not paired with itself, eq. 3 of Gretton et al. 2012. */
function* unbiasedMmd({ aa, bb, ab }: Kernels, fromA: readonly number[], fromB: readonly number[]): Pieces<number> {
  const count = fromA.length
  const at = ({ columns, values }: Matrix, i: number, j: number): number => values[i * columns + j]
  let within = 0
  let across = 0
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) {
      if (i !== j) within += at(aa, fromA[i], fromA[j]) + at(bb, fromB[i], fromB[j])
      across += at(ab, fromA[i], fromB[j])
    }
    yield
  }
  return within / (count * (count - 1)) - (2 * across) / count ** 2
}
