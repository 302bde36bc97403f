import { decibels, loudestOf, melSpectrogram, SPECTROGRAM } from '../metrics/spectrogram.ts'
import type { Sound } from '../pipeline/audio.ts'
import type { PictureShape } from './fidelity.ts'

/** What stands for a picture where a model makes sounds; said wherever figures of them are. */
export const SOUND_NOTE =
  `Sounds are compared, and shown, as pictures of their mel spectrograms: ${SPECTROGRAM.mels} bands, low ones at the bottom, a frame for every ` +
  `${SPECTROGRAM.hop} samples, from ${SPECTROGRAM.range} dB below a full-scale tone of 1 kHz (black) to its level (white).`

/** Of the picture of a sound. */
export const spectrogramShape = (samples: number): PictureShape => [
  3,
  SPECTROGRAM.mels,
  1 + Math.floor(samples / SPECTROGRAM.hop),
]

/**
 * A sound as a grey picture [3, mels, frames] in [−1, 1]. Levels are counted from a fixed one, so that two sounds are compared as
 * loud as they are.
 */
export function spectrogramPicture({ samples, sampleRate }: Sound): Float32Array {
  const settings = { ...SPECTROGRAM, sampleRate }
  const spectrogram = melSpectrogram(samples, settings)
  const { mels, frames } = spectrogram
  const levels = decibels(spectrogram, loudestOf(melSpectrogram(tone(sampleRate), settings)), settings)
  const size = mels * frames
  return Float32Array.from({ length: 3 * size }, (_, k) => {
    const [band, frame] = [mels - 1 - Math.floor((k % size) / frames), k % frames]
    return levels[band * frames + frame]
  })
}

/** A tone of 1 kHz from −1 to 1, of a few windows. */
const tone = (sampleRate: number): Float32Array =>
  Float32Array.from({ length: 4 * SPECTROGRAM.window }, (_, k) => Math.sin((2 * Math.PI * 1000 * k) / sampleRate))
