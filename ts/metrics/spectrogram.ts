import FFT from 'fft.js'
import { invalidArgument } from '../errors.ts'

/** What a spectrogram is made with. Published beside every figure: nothing compares without it. */
export interface SpectrogramSettings {
  readonly sampleRate: number // Hz
  readonly window: number // samples, a power of two; Hann, periodic
  readonly hop: number // samples from one frame to the next; the first frame is centred on sample 0, zeros outside
  readonly mels: number // triangular filters of unit area, Slaney's scale, from 0 Hz to half the sample rate
  readonly range: number // dB below the loudest of the reference that are kept
}

/** AudioLDM's spectrogram (16 kHz, 1024, 160, 64 mels), in dB over a range of 80. */
export const SPECTROGRAM: SpectrogramSettings = { sampleRate: 16_000, window: 1024, hop: 160, mels: 64, range: 80 }

/** Below this power, −100 dB of full scale, all is the same silence: librosa's amin. */
const SILENCE = 1e-10

/** Power per mel band and frame. */
export interface MelSpectrogram {
  readonly mels: number
  readonly frames: number
  /** [mels, frames] */
  readonly power: Float64Array
}

/** librosa's `feature.melspectrogram` at its defaults, in float64. Frames: 1 + ⌊samples/hop⌋. */
export function melSpectrogram(sound: Float32Array | Float64Array, settings = SPECTROGRAM): MelSpectrogram {
  const { window, hop, mels } = settings
  if (sound.length < 1) throw invalidArgument('sound', 'at least one sample', sound)
  const wrong = sound.findIndex((value) => !Number.isFinite(value))
  if (wrong >= 0) throw invalidArgument(`sound[${wrong}]`, 'finite', sound[wrong])
  const frames = 1 + Math.floor(sound.length / hop)
  const power = new Float64Array(mels * frames)
  const filters = melFilters(settings)
  const fft = new FFT(window)
  const hann = Float64Array.from({ length: window }, (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / window))
  const spectrum = new Float64Array(2 * window)
  for (let frame = 0; frame < frames; frame++) {
    const start = frame * hop - window / 2
    fft.realTransform(
      spectrum,
      hann.map((weight, k) => weight * (sound[start + k] ?? 0)),
    )
    filters.forEach(({ first, weights }, mel) => {
      let sum = 0
      weights.forEach((weight, k) => (sum += weight * (spectrum[2 * (first + k)] ** 2 + spectrum[2 * (first + k) + 1] ** 2)))
      power[mel * frames + frame] = sum
    })
  }
  return { mels, frames, power }
}

/** A spectrogram in dB below `loudest` (a power), the range mapped to [−1, 1]; what is louder or quieter is clipped. [mels, frames] */
export function decibels({ power }: MelSpectrogram, loudest: number, { range } = SPECTROGRAM): Float32Array {
  const level = (value: number): number => 10 * Math.log10(Math.max(SILENCE, value))
  const top = level(loudest)
  return Float32Array.from(power, (value) => (2 * Math.min(range, Math.max(0, level(value) - top + range))) / range - 1)
}

/** The power of the loudest band of the loudest frame. */
export const loudestOf = ({ power }: MelSpectrogram): number => power.reduce((most, value) => Math.max(most, value), 0)

export const isSilent = (spectrogram: MelSpectrogram): boolean => loudestOf(spectrogram) <= SILENCE

/** Weights of a filter from frequency bin `first` on. */
interface Filter {
  readonly first: number
  readonly weights: readonly number[]
}

function melFilters({ sampleRate, window, mels }: SpectrogramSettings): Filter[] {
  const top = melOf(sampleRate / 2)
  const edges = Array.from({ length: mels + 2 }, (_, k) => hertzOf((top * k) / (mels + 1)))
  const bin = sampleRate / window
  return Array.from({ length: mels }, (_, mel) => {
    const [low, centre, high] = edges.slice(mel, mel + 3)
    const first = Math.max(0, Math.ceil(low / bin))
    const last = Math.min(window / 2, Math.floor(high / bin))
    const area = 2 / (high - low)
    const weights = Array.from({ length: last - first + 1 }, (__, k) => {
      const f = (first + k) * bin
      return area * Math.max(0, Math.min((f - low) / (centre - low), (high - f) / (high - centre)))
    })
    return { first, weights }
  })
}

// Slaney's scale (Auditory Toolbox): linear to 1 kHz, three mels per 200 Hz; logarithmic above, 27 mels for a factor 6.4.
const BREAK = 1000
const MELS_PER_HERTZ = 3 / 200
const MELS_PER_LOG = 27 / Math.log(6.4)

function melOf(hertz: number): number {
  return hertz < BREAK ? hertz * MELS_PER_HERTZ : BREAK * MELS_PER_HERTZ + Math.log(hertz / BREAK) * MELS_PER_LOG
}

function hertzOf(mel: number): number {
  const bend = BREAK * MELS_PER_HERTZ
  return mel < bend ? mel / MELS_PER_HERTZ : BREAK * Math.exp((mel - bend) / MELS_PER_LOG)
}
