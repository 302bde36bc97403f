import type { Picture } from '../pipeline/image.ts'
import type { GenerateStep } from '../pipeline/options.ts'
import { isLive } from './terminal.ts'

/** Steps from one drawing to the next. */
export const EVERY = 3

/** Why nothing can be drawn on a stream, where that is so. */
export function undrawn(stream: NodeJS.WriteStream): string | undefined {
  if (!stream.isTTY) return 'stderr is no terminal'
  if (!isLive(stream)) return 'TERM is "dumb"'
  return process.env.NO_COLOR ? 'NO_COLOR is set' : undefined
}

/**
 * The forming pictures on a terminal, drawn over themselves: two pixels in one character, an upper half block whose colours are
 * those of the upper and the lower pixel.
 */
export class Preview {
  private readonly stream: NodeJS.WriteStream
  private drawn = 0

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream
  }

  show({ step, steps, preview }: GenerateStep): void {
    if (preview === undefined) return
    const lines = [...this.lines(preview), `step ${step + 1} of ${steps}`]
    const up = this.drawn > 0 ? `\x1b[${this.drawn}A` : ''
    this.stream.write(up + lines.map((line) => `\x1b[2K${line}\n`).join(''))
    this.drawn = lines.length
  }

  /** As many pictures side by side as fit, every `shrink`-th pixel where not even one does. */
  private lines(pictures: readonly Picture[]): string[] {
    const columns = this.stream.columns || 80
    const rows = (this.stream.rows || 24) - 2
    const [{ width, height }] = pictures
    const shrink = Math.max(1, Math.ceil(width / columns), Math.ceil(height / 2 / rows))
    const across = Math.floor(width / shrink)
    const shown = pictures.slice(0, Math.floor((columns + 1) / (across + 1)))
    return Array.from({ length: Math.floor(height / shrink / 2) }, (_, row) =>
      shown.map((each) => halfBlocks(each, row, across, shrink)).join(' '),
    )
  }
}

function halfBlocks({ width, data }: Picture, row: number, across: number, shrink: number): string {
  const colour = (x: number, y: number): string =>
    data
      .subarray((y * shrink * width + x * shrink) * 3)
      .subarray(0, 3)
      .join(';')
  const blocks = Array.from({ length: across }, (_, x) => `\x1b[38;2;${colour(x, 2 * row)};48;2;${colour(x, 2 * row + 1)}m▀`)
  return blocks.join('') + '\x1b[0m'
}
