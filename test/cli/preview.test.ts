import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Preview, undrawn } from '../../ts/cli/preview.ts'
import type { GenerateStep } from '../../ts/index.ts'
import { Picture } from '../../ts/pipeline/image.ts'

// What a terminal shows of forming pictures.

/** A picture whose colours say where they are: x, y and the number of the picture. */
const placed = (width: number, height: number, number = 0): Picture =>
  new Picture(
    width,
    height,
    Uint8Array.from({ length: 3 * width * height }, (_, k) => {
      const pixel = Math.floor(k / 3)
      return [pixel % width, Math.floor(pixel / width), number][k % 3]
    }),
  )

/** The lines that are shown of pictures: the pixels of each character, upper and lower, as x,y; several pictures parted by "|". */
function shown(terminal: { columns?: number; rows?: number }, preview: readonly Picture[]): string[] {
  let text = ''
  const stream = { ...terminal, write: (part: string) => (text += part) } as unknown as NodeJS.WriteStream
  new Preview(stream).show({ step: 4, steps: 9, preview } as unknown as GenerateStep)
  const lines = text.split('\n')
  assert.equal(lines.slice(-2), ['\x1b[2Kstep 5 of 9', ''])
  return lines.slice(0, -2).map((line) => {
    assert.ok(line.startsWith('\x1b[2K') && line.endsWith('\x1b[0m'), JSON.stringify(line))
    const pictures = line
      .slice(4)
      .split('\x1b[0m ')
      .map((each, k) => {
        const pattern = new RegExp(String.raw`38;2;(\d+);(\d+);${k};48;2;(\d+);(\d+);${k}m▀`, 'g')
        return [...each.matchAll(pattern)].map(([, ...at]) => `${at[0]},${at[1]}/${at[2]},${at[3]}`).join(' ')
      })
    return pictures.join(' | ')
  })
}

test('why a stream shows no pictures', () => {
  const kept = process.env
  const why = (stream: object, env: NodeJS.ProcessEnv): string | undefined => {
    process.env = env
    try {
      return undrawn(stream as NodeJS.WriteStream)
    } finally {
      process.env = kept
    }
  }
  const terminal = { isTTY: true }
  assert.is(why({}, {}), 'stderr is no terminal')
  assert.is(why(terminal, { TERM: 'dumb' }), 'TERM is "dumb"')
  assert.is(why(terminal, { NO_COLOR: '1' }), 'NO_COLOR is set')
  assert.is(why(terminal, { TERM: 'xterm' }), undefined)
})

test('each line is two rows of pixels; of an odd height the last row is left out', () => {
  for (const height of [4, 5])
    assert.equal(shown({ columns: 5, rows: 24 }, [placed(2, height)]), ['0,0/0,1 1,0/1,1', '0,2/0,3 1,2/1,3'])
})

test('of pictures too wide or too high for the terminal every so many pixels are shown, that two lines are left below', () => {
  assert.equal(shown({ columns: 5, rows: 24 }, [placed(13, 6)]), ['0,0/0,3 3,0/3,3 6,0/6,3 9,0/9,3'])
  assert.equal(shown({ columns: 5, rows: 24 }, [placed(6, 4)]), ['0,0/0,2 2,0/2,2 4,0/4,2'])
  assert.equal(shown({ columns: 80, rows: 4 }, [placed(2, 4)]), ['0,0/0,1 1,0/1,1', '0,2/0,3 1,2/1,3'])
  assert.equal(shown({ columns: 80, rows: 4 }, [placed(3, 12)]), ['0,0/0,3', '0,6/0,9'])
})

test('pictures stand side by side with a blank between, as many as fit', () => {
  const three = [0, 1, 2].map((number) => placed(2, 2, number))
  const one = '0,0/0,1 1,0/1,1'
  for (const [columns, count] of [
    [2, 1],
    [4, 1],
    [5, 2],
    [7, 2],
    [8, 3],
    [80, 3],
  ])
    assert.equal(shown({ columns, rows: 24 }, three), [Array(count).fill(one).join(' | ')], String(columns))
})

test('a terminal that does not say its size, or says none, has 80 columns and 24 rows', () => {
  for (const terminal of [{}, { columns: 0, rows: 0 }]) {
    const widthOf = (picture: Picture): number => shown(terminal, [picture])[0].split(' ').length
    assert.equal([widthOf(placed(80, 2)), widthOf(placed(82, 4))], [80, 41])
    assert.equal([shown(terminal, [placed(1, 44)]).length, shown(terminal, [placed(2, 46)]).length], [22, 11])
  }
})

test('a picture is drawn over the one before, whose lines may be others', () => {
  const written: string[] = []
  const stream = { columns: 80, rows: 24, write: (part: string) => written.push(part) } as unknown as NodeJS.WriteStream
  const drawing = new Preview(stream)
  // One row of pixels makes no line: the step's is the only one.
  for (const height of [1, 6, 4]) drawing.show({ step: 4, steps: 9, preview: [placed(2, height)] } as unknown as GenerateStep)
  assert.equal(
    written.map((each) => /^(?:\x1b\[(\d+)A)?\x1b\[2K/.exec(each)?.[1]),
    [undefined, '1', '4'],
  )
})

test.run()
