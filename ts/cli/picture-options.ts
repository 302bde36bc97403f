import { Option } from 'commander'
import type { Terms } from '../bench/table1/journal.ts'
import { decimal, integer } from './arguments.ts'

/** What a command line asks of each picture or sound, apart from the prompt. */
export interface PictureArguments {
  readonly width?: number
  readonly height?: number
  readonly maxSequenceLength?: number
  readonly seconds?: number
}

const pixels = (side: 'width' | 'height'): Option =>
  new Option(`--${side} <pixels>`, `${side} of the picture (default: the model's)`).argParser(integer(`--${side}`, 1, 8192))
export const WIDTH = pixels('width')
export const HEIGHT = pixels('height')
export const MAX_SEQUENCE_LENGTH = new Option(
  '--max-sequence-length <tokens>',
  "Flux, SD3, PixArt: tokens that T5 reads of the prompt (default: the model's)",
).argParser(integer('--max-sequence-length', 4, 512))

export const SECONDS = new Option('--seconds <n>', "length of the sound (default: the model's)").argParser(
  decimal('--seconds', 0, 600),
)

/** Those of them that were given, as a bench writes them down. */
export function pictureTerms({ width, height, maxSequenceLength, seconds }: PictureArguments): NonNullable<Terms['picture']> {
  const all = { width, height, max_sequence_length: maxSequenceLength, seconds }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

/** Those of them that were given, as `generate` takes them. */
export const pictureRequest = ({ width, height, maxSequenceLength, seconds }: PictureArguments): PictureArguments => ({
  width,
  height,
  maxSequenceLength,
  seconds,
})
