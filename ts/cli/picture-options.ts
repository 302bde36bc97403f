import { Option, type Command } from 'commander'
import type { Terms } from '../bench/table1/journal.ts'
import { collect, decimal, integer } from './arguments.ts'

/** What a command line says of ControlNets. */
export interface ControlArguments {
  readonly control?: readonly string[]
  readonly controlStrength?: number
  readonly controlStart?: number
  readonly controlEnd?: number
}

/** What a command line asks of each picture or sound, apart from the prompt. */
export interface PictureArguments extends ControlArguments {
  readonly width?: number
  readonly height?: number
  readonly maxSequenceLength?: number
  readonly seconds?: number
}

/** Heading of what not every model takes. */
export const OF_SOME_MODELS = 'Options of some models:'

const pixels = (side: 'width' | 'height'): Option =>
  new Option(`--${side} <pixels>`, `${side} of the picture (default: the model's)`).argParser(integer(`--${side}`, 1, 8192))
export const WIDTH = pixels('width')
export const HEIGHT = pixels('height')
export const MAX_SEQUENCE_LENGTH = new Option(
  '--max-sequence-length <tokens>',
  "Flux, SD3, PixArt: how many tokens T5 reads of the prompt (default: the model's)",
).argParser(integer('--max-sequence-length', 4, 512))

export const SECONDS = new Option('--seconds <n>', "length of the sound, in seconds (default: the model's)").argParser(
  decimal('--seconds', 0, 600, true),
)

export const CONTROL = new Option(
  '--control <file>',
  'a picture that a ControlNet follows; again for the next ControlNet',
).argParser(collect)
/** Of a bench, whose prompts each take a picture. */
const CONTROLS = new Option(
  '--control <path>',
  'a picture that a ControlNet follows, or a folder of them that the prompts take in turn; again for the next ControlNet',
).argParser(collect)
const share = (name: string, says: string, most = 1): Option =>
  new Option(`${name} <${most === 1 ? 'share' : 'n'}>`, says).argParser(decimal(name, 0, most))
export const CONTROL_STRENGTH = share('--control-strength', 'how much the ControlNets count, 0 to 2 (default: 1)', 2)
export const CONTROL_START = share('--control-start', 'share of the run after which they begin, 0 to 1 (default: 0)')
export const CONTROL_END = share('--control-end', 'share of the run after which they end, 0 to 1 (default: 1)')

const CONTROL_SHARES = [CONTROL_STRENGTH, CONTROL_START, CONTROL_END]

/** What both benches take of it. */
export function addBenchPictures(command: Command): Command {
  command.optionsGroup(OF_SOME_MODELS)
  for (const option of [WIDTH, HEIGHT, MAX_SEQUENCE_LENGTH, SECONDS, CONTROLS, ...CONTROL_SHARES]) command.addOption(option)
  return command
}

/** Those of the numbers that were given, as a bench writes them down. */
export function pictureTerms({ width, height, maxSequenceLength, seconds }: PictureArguments): NonNullable<Terms['picture']> {
  const all = { width, height, max_sequence_length: maxSequenceLength, seconds }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

type Sizes = Omit<PictureArguments, keyof ControlArguments>

/** The numbers, as `generate` takes them. */
export const pictureRequest = ({ width, height, maxSequenceLength, seconds }: PictureArguments): Sizes => ({
  width,
  height,
  maxSequenceLength,
  seconds,
})
