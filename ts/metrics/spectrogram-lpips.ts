import { invalidArgument, inWords } from '../errors.ts'
import { lpips, LPIPS_SMALLEST, type Lpips } from './lpips.ts'
import type { Network } from './networks.ts'
import { decibels, isSilent, loudestOf, melSpectrogram, SPECTROGRAM } from './spectrogram.ts'

/** Fewer samples make fewer frames than LPIPS reads: 0.3 s. */
export const SPECTROGRAM_SHORTEST = (LPIPS_SMALLEST - 1) * SPECTROGRAM.hop

/**
 * LPIPS between the log-mel spectrograms of two sounds of 16 kHz, as grey pictures [3, 64, frames] in [−1, 1]: three copies of the
 * dB from 80 below the loudest of the *reference* to that loudest. Sounds are compared as they lie, without alignment.
 */
export async function spectrogramLpips(
  network: Network<'lpips-alex'>,
  reference: Float32Array,
  other: Float32Array,
): Promise<Lpips> {
  if (reference.length < SPECTROGRAM_SHORTEST)
    throw invalidArgument('reference', `at least ${SPECTROGRAM_SHORTEST} samples`, reference)
  if (other.length !== reference.length) throw invalidArgument('other', `${reference.length} samples, as the reference`, other)
  const [first, second] = [melSpectrogram(reference), melSpectrogram(other)]
  if (isSilent(first)) throw invalidArgument('reference', 'a sound; levels are counted from its loudest', inWords('silence'))
  const loudest = loudestOf(first)
  const [a, b] = [first, second].map((each) => threefold(decibels(each, loudest)))
  return lpips(network, a, b, [3, first.mels, first.frames])
}

function threefold(plane: Float32Array): Float32Array {
  const picture = new Float32Array(3 * plane.length)
  for (let c = 0; c < 3; c++) picture.set(plane, c * plane.length)
  return picture
}
