/** Numbers from an integer generator (SplitMix32): the same on every machine. */
export class Numbers {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** A whole number from 0 to 2³² − 1. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0
    let h = this.state
    h = Math.imul(h ^ (h >>> 16), 0x21f0aaad)
    h = Math.imul(h ^ (h >>> 15), 0x735a2d97)
    return (h ^ (h >>> 15)) >>> 0
  }

  below(limit: number): number {
    return this.next() % limit
  }

  /** `count` of the numbers from 0 to `limit` − 1, each at most once, in an order by chance. */
  some(count: number, limit: number): number[] {
    const left = Array.from({ length: limit }, (_, k) => k)
    return Array.from({ length: Math.min(count, limit) }, () => left.splice(this.below(left.length), 1)[0])
  }

  /** Float32 values of about normal size, some of them zero or far away. */
  floats(length: number): Float32Array {
    return new Float32Array(length).map(() => {
      const kind = this.below(32)
      const value = this.next() / 2 ** 31 - 1
      return kind === 0 ? 0 : kind === 1 ? value * 2 ** (this.below(41) - 20) : value * 3
    })
  }
}
