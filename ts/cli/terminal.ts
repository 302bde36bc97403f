import { createColors } from 'picocolors'
import { inLines } from '../bench/plain-text.ts'

type Colours = ReturnType<typeof createColors>

/** Colours for a stream: on a terminal, unless NO_COLOR is set; FORCE_COLOR has them anywhere. */
export function coloursFor(stream: NodeJS.WriteStream): Colours {
  return createColors(wantsColour(stream))
}

export function wantsColour(stream: NodeJS.WriteStream): boolean {
  if (process.env.NO_COLOR) return false
  if (process.env.FORCE_COLOR && process.env.FORCE_COLOR !== '0') return true
  return isLive(stream)
}

/** Whether the stream is a terminal on which lines can be drawn again. */
export function isLive(stream: NodeJS.WriteStream): boolean {
  return Boolean(stream.isTTY) && process.env.TERM !== 'dumb'
}

/** Columns of a stream; without end where it is no terminal. */
export const columnsOf = ({ isTTY, columns }: NodeJS.WriteStream): number =>
  isTTY ? columns || Number(process.env.COLUMNS) || Infinity : Infinity

const WIDEST = 100
/** Text in narrower columns has one word on many of its lines. */
const NARROWEST = 28

const width = (): number => Math.min(columnsOf(process.stdout), WIDEST)

/** Wraps text to the terminal's width (at most 100 columns), each line after the first `indent` columns in. */
export const wrapped = (text: string, indent: number): string => inLines(text, width() - indent, '\n' + ' '.repeat(indent))

/** Text beside a head of so many columns, or below it where there is little room. */
export function beside(head: string, columns: number, text: string): string {
  if (width() - columns >= NARROWEST) return head + wrapped(text, columns)
  return `${head.trimEnd()}\n${BELOW}${wrapped(text, BELOW.length)}`
}

const BELOW = ' '.repeat(6)
