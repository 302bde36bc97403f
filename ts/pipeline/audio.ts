const HEADER_BYTES = 44
const PCM = 1
const BYTES_PER_SAMPLE = 2

/** A mono sound; samples from −1 to 1. */
export class Sound {
  /** [seconds · sampleRate], one channel. */
  readonly samples: Float32Array
  /** Samples per second. */
  readonly sampleRate: number

  constructor(samples: Float32Array, sampleRate: number) {
    this.samples = samples
    this.sampleRate = sampleRate
  }

  /** Length in seconds. */
  get seconds(): number {
    return this.samples.length / this.sampleRate
  }

  /** The sound as a WAV file, 16-bit PCM; values outside −1 … 1 are clipped. */
  wav(): Uint8Array {
    const bytes = this.samples.length * BYTES_PER_SAMPLE
    const file = Buffer.alloc(HEADER_BYTES + bytes)
    file.write('RIFF', 0)
    file.writeUInt32LE(HEADER_BYTES - 8 + bytes, 4)
    file.write('WAVEfmt ', 8)
    file.writeUInt32LE(16, 16)
    file.writeUInt16LE(PCM, 20)
    file.writeUInt16LE(1, 22)
    file.writeUInt32LE(this.sampleRate, 24)
    file.writeUInt32LE(this.sampleRate * BYTES_PER_SAMPLE, 28)
    file.writeUInt16LE(BYTES_PER_SAMPLE, 32)
    file.writeUInt16LE(8 * BYTES_PER_SAMPLE, 34)
    file.write('data', 36)
    file.writeUInt32LE(bytes, 40)
    this.samples.forEach((value, k) => {
      const level = Math.max(-32768, Math.min(32767, Math.round(value * 32767)))
      file.writeInt16LE(Number.isNaN(level) ? 0 : level, HEADER_BYTES + k * BYTES_PER_SAMPLE)
    })
    return file
  }
}
