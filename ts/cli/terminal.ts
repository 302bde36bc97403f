import { createColors } from 'picocolors'

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

/** Wraps text to the terminal's width (at most 100 columns), each line after the first `indent` columns in. */
export function wrapped(text: string, indent: number): string {
  const width = Math.min(process.stdout.columns || 100, 100) - indent
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line !== undefined && line.length + word.length < width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines.join('\n' + ' '.repeat(indent))
}
