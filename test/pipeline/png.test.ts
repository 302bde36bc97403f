import { deflateSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readImage } from '../../ts/pipeline/image.ts'
import { pictureOf } from '../../ts/pipeline/png.ts'

// PNG files written by hand. How many bytes a picture unpacks to is counted by the specification: a byte for the filter of every row.

interface Header {
  readonly size: readonly [width: number, height: number]
  readonly depth: number
  readonly colour: number
  readonly interlaced?: number
}
const [GREY, RGB, INDEXED, GREY_ALPHA, RGBA] = [0, 2, 3, 4, 6]

/** Its sums are zero: the decoder does not look at them. */
function chunk(type: string, body: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, Buffer.from(type, 'latin1'), body, Buffer.alloc(4)])
}

function png({ size, depth, colour, interlaced = 0 }: Header, data: Uint8Array, ...chunks: Buffer[]): Uint8Array {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, depth, colour, 0, 0, interlaced])
  size.forEach((side, k) => header.writeUInt32BE(side, 4 * k))
  const packed = deflateSync(data)
  // In two parts, as large files have it.
  const halves = [packed.subarray(0, packed.length >> 1), packed.subarray(packed.length >> 1)].map((half) => chunk('IDAT', half))
  const all = [chunk('IHDR', header), ...chunks, ...halves, chunk('IEND', Buffer.alloc(0))]
  return new Uint8Array(Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...all]))
}

test('a picture may unpack to what its header says and 64 KiB of padding, and to no byte more', async () => {
  const sizes: [Header, bytes: number][] = [
    [{ size: [9, 2], depth: 1, colour: GREY }, 2 * (1 + 2)],
    [{ size: [9, 2], depth: 2, colour: INDEXED }, 2 * (1 + 3)],
    [{ size: [5, 3], depth: 8, colour: RGB }, 3 * (1 + 15)],
    [{ size: [5, 3], depth: 16, colour: GREY_ALPHA }, 3 * (1 + 20)],
    [{ size: [5, 3], depth: 16, colour: RGBA }, 3 * (1 + 40)],
    // The seven passes of each; those without a pixel are left out.
    [{ size: [8, 8], depth: 8, colour: RGB, interlaced: 1 }, 4 + 4 + 7 + 2 * 7 + 2 * 13 + 4 * 13 + 4 * 25],
    [{ size: [5, 3], depth: 8, colour: RGBA, interlaced: 1 }, 5 + 5 + 5 + 13 + 2 * 9 + 21],
    [{ size: [1, 9], depth: 8, colour: GREY, interlaced: 1 }, 2 * 2 + 2 + 2 * 2 + 4 * 2],
    [{ size: [2, 2], depth: 8, colour: GREY, interlaced: 1 }, 2 + 2 + 3],
  ]
  for (const [header, bytes] of sizes) {
    const said = (count: number): Promise<string> =>
      pictureOf(png(header, Buffer.alloc(count)), 100).then(
        () => 'read',
        (error: Error) => error.message,
      )
    assert.is(await said(bytes + 65536), 'read', JSON.stringify(header))
    assert.is(await said(bytes + 65537), 'it unpacks to more than its header says', JSON.stringify(header))
  }
})

test('a picture may have as many pixels as are read, and not one more', async () => {
  const file = png({ size: [3, 4], depth: 8, colour: GREY }, Buffer.alloc(16))
  await pictureOf(file, 12)
  assert.match(String(await pictureOf(file, 11).catch((error: unknown) => error)), /it has 3 × 4 pixels, more than 11/)
})

test('a header that is cut is refused', async () => {
  const file = Buffer.concat([
    Buffer.from(png({ size: [1, 1], depth: 8, colour: GREY }, Buffer.alloc(2))).subarray(0, 8),
    chunk('IHDR', Buffer.alloc(12)),
  ])
  assert.match(String(await pictureOf(file, 12).catch((error: unknown) => error)), /its header is cut/)
})

test('interlaced files, palettes of 8 bits and greys of 2 and 4 are read as pixels', async () => {
  const read = async (...file: Parameters<typeof png>): Promise<number[]> => [...(await readImage('init', png(...file))).data]
  const passes = Buffer.from([0, 10, 0, 20, 0, 30, 40])
  assert.equal(await read({ size: [2, 2], depth: 8, colour: GREY, interlaced: 1 }, passes), [10, 20, 30, 40])
  const palette = chunk('PLTE', Buffer.from([1, 2, 3, 200, 100, 50]))
  assert.equal(await read({ size: [2, 1], depth: 8, colour: INDEXED }, Buffer.from([0, 1, 0]), palette), [200, 100, 50, 1, 2, 3])
  const grey = (...levels: number[]): number[] => levels.flatMap((level) => [level, level, level])
  assert.equal(await read({ size: [4, 1], depth: 4, colour: GREY }, Buffer.from([0, 0x0f, 0x5a])), grey(0, 255, 85, 170))
  assert.equal(await read({ size: [4, 1], depth: 2, colour: GREY }, Buffer.from([0, 0b00011011])), grey(0, 85, 170, 255))
})

test('a palette that is only suggested changes no pixel', async () => {
  const palette = chunk('PLTE', Buffer.from([1, 2, 3, 200, 100, 50]))
  for (const [colour, row] of [
    [GREY, [0, 1, 7]],
    [RGB, [0, 1, 2, 7, 8, 9]],
    [RGBA, [0, 1, 2, 255, 7, 8, 9, 255]],
  ] as const) {
    const file = png(
      { size: [row.length / (colour === GREY ? 1 : colour === RGB ? 3 : 4), 1], depth: 8, colour },
      Buffer.from([0, ...row]),
      palette,
    )
    assert.equal([...(await readImage('init', file)).data], row, `colour type ${colour}`)
  }
})

test('a colour that stands for transparent is read as itself, however small the picture is', async () => {
  const colour = chunk('tRNS', Buffer.from([0, 7, 0, 8, 0, 9]))
  const file = png({ size: [1, 1], depth: 8, colour: RGB }, Buffer.from([0, 7, 8, 9]), colour)
  assert.equal([...(await readImage('init', file)).data], [7, 8, 9])
  const grey = png({ size: [2, 1], depth: 8, colour: GREY }, Buffer.from([0, 7, 8]), chunk('tRNS', Buffer.from([0, 7])))
  assert.equal([...(await readImage('init', grey)).data], [7, 8])
})

test.run()
