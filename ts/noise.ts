import { invalidArgument } from './errors.ts'

const stateSize = 624
const twoPi32 = Math.fround(2 * Math.PI)
const largestSeed = (1n << 64n) - 1n

/**
 * Random numbers of PyTorch's CPU generator: `torch.Generator('cpu').manual_seed(seed)` with float32 `randn` and `rand`.
 * Normal values agree within 2e-6 (PyTorch's own last bits depend on the CPU), uniform ones exactly.
 */
export class TorchGenerator {
  private readonly state = new Int32Array(stateSize)
  private next = stateSize
  /** The second normal value of the last pair drawn one at a time; large calls leave it alone. */
  private kept: number | undefined

  /** @param seed from 0 to 2⁶⁴ − 1; as in PyTorch only its low 32 bits count */
  constructor(seed: number | bigint) {
    let previous = low32(seed)
    this.state[0] = previous
    for (let i = 1; i < stateSize; i++) {
      previous = (Math.imul(1812433253, previous ^ (previous >>> 30)) + i) | 0
      this.state[i] = previous
    }
  }

  /** `n` values uniform in [0, 1), multiples of 2⁻²⁴. */
  rand(n: number): Float32Array {
    const values = allocate(n)
    for (let i = 0; i < n; i++) values[i] = this.uniform24()
    return values
  }

  /** `n` standard normal values. */
  randn(n: number): Float32Array {
    const values = allocate(n)
    if (n < 16) {
      for (let i = 0; i < n; i++) values[i] = this.normal()
      return values
    }
    for (let i = 0; i < n; i++) values[i] = this.uniform24()
    for (let start = 0; start <= n - 16; start += 16) boxMuller(values, start)
    if (n % 16 !== 0) {
      for (let i = n - 16; i < n; i++) values[i] = this.uniform24()
      boxMuller(values, n - 16)
    }
    return values
  }

  /** One normal value in float64, from a pair of 53-bit uniforms of which the other value is kept. */
  private normal(): number {
    const { kept } = this
    if (kept !== undefined) {
      this.kept = undefined
      return kept
    }
    const angle = 2 * Math.PI * this.uniform53()
    const radius = Math.sqrt(-2 * Math.log1p(-this.uniform53()))
    this.kept = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  private uniform24(): number {
    return (this.word() & 0xffffff) * 2 ** -24
  }

  private uniform53(): number {
    const high = this.word() & 0x1fffff
    return (high * 2 ** 32 + (this.word() >>> 0)) * 2 ** -53
  }

  /** The next 32 bits of MT19937 (Matsumoto and Nishimura 1998). */
  private word(): number {
    if (this.next === stateSize) this.twist()
    let y = this.state[this.next++]
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return y ^ (y >>> 18)
  }

  private twist(): void {
    const { state } = this
    for (let i = 0; i < stateSize; i++) {
      const y = (state[i] & 0x80000000) | (state[i + 1 < stateSize ? i + 1 : 0] & 0x7fffffff)
      // Without a branch: it would be foreseen wrongly every other time.
      state[i] = state[i < 227 ? i + 397 : i - 227] ^ (y >>> 1) ^ (-(y & 1) & 0x9908b0df)
    }
    this.next = 0
  }
}

/** values[start + j] and values[start + 8 + j], j < 8: pairs of uniforms → pairs of normals, in float32 wherever PyTorch is. */
function boxMuller(values: Float32Array, start: number): void {
  for (let j = start; j < start + 8; j++) {
    const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(1 - values[j])))))
    const angle = Math.fround(twoPi32 * values[j + 8])
    values[j] = radius * Math.fround(Math.cos(angle))
    values[j + 8] = radius * Math.fround(Math.sin(angle))
  }
}

/** The low 32 bits of a valid seed. */
function low32(seed: number | bigint): number {
  const isValid = typeof seed === 'bigint' ? seed >= 0n && seed <= largestSeed : Number.isSafeInteger(seed) && seed >= 0
  if (!isValid) {
    throw invalidArgument('seed', 'an integer from 0 to 2^53 − 1, or a bigint from 0 to 2^64 − 1', seed)
  }
  return Number(BigInt(seed) & 0xffffffffn) | 0
}

function allocate(n: number): Float32Array {
  if (!Number.isSafeInteger(n) || n < 0) throw invalidArgument('n', 'an integer ≥ 0', n)
  return new Float32Array(n)
}
