import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { deflateSync } from 'node:zlib'
import { encode as encodeJpeg } from 'jpeg-js'
import type { SadaError } from '../../ts/errors.ts'
import { Sound } from '../../ts/pipeline/audio.ts'
import { readImage } from '../../ts/pipeline/image.ts'
import { resize } from '../../ts/pipeline/resize.ts'

const gradient = (width: number, height: number, channels: number): Uint8Array =>
  Uint8Array.from({ length: width * height * channels }, (_, k) => (Math.floor(k / channels) % width) * 10 + (k % channels))

test('PNG files of 8 and 16 bits, with and without alpha or colour, and JPEG files are read as pixels', async () => {
  const { encode } = await import('fast-png')
  for (const channels of [1, 3, 4]) {
    const data = gradient(5, 3, channels)
    const read = await readImage('init', encode({ width: 5, height: 3, data, channels, depth: 8 }))
    assert.equal([read.width, read.height, [...read.data]], [5, 3, [...data]])
    const wide = Uint16Array.from(data, (value) => value * 257)
    const deep = await readImage('init', encode({ width: 5, height: 3, data: wide, channels, depth: 16 }))
    assert.equal([...deep.data], [...data])
  }
  const withAlpha = gradient(5, 3, 2)
  const grey = await readImage('init', encode({ width: 5, height: 3, data: withAlpha, channels: 2, depth: 8 }))
  assert.equal([...grey.data], [...withAlpha.filter((_, k) => k % 2 === 0)])

  const photo = await readImage('init', encodeJpeg({ width: 16, height: 8, data: Buffer.alloc(16 * 8 * 4, 200) }, 95).data)
  assert.equal([photo.width, photo.height, photo.data.length], [16, 8, 16 * 8 * 4])
  photo.data.forEach((value, k) => assert.ok(Math.abs(value - (k % 4 === 3 ? 255 : 200)) <= 2))
})

test('what is no picture is an error that names the argument', async () => {
  const sound = encodeJpeg({ width: 16, height: 8, data: Buffer.alloc(512, 9) }, 90).data
  const wrong = [
    new Uint8Array(0),
    new Uint8Array(100),
    new Uint8Array(sound.subarray(0, 40)),
    { width: 2, height: 2, data: new Uint8Array(5) },
    { width: 0, height: 0, data: new Uint8Array(0) },
    { width: 2, height: 0, data: new Uint8Array(0) },
    { width: -1, height: -3, data: new Uint8Array(3) },
    { width: 1.5, height: 2, data: new Uint8Array(3) },
    { width: 2, height: 1.5, data: new Uint8Array(3) },
    { width: 2, height: 2, data: [1, 2, 3, 4] },
    null,
  ]
  for (const input of wrong) {
    const error: any = await readImage('mask', input as Uint8Array).catch((e: unknown) => e)
    assert.equal([error.code, error.argument], ['INVALID_ARGUMENT', 'mask'])
  }
  // The smallest that is one.
  assert.is((await readImage('mask', { width: 1, height: 1, data: new Uint8Array(1) })).width, 1)
  const webp = new Uint8Array(Buffer.from('RIFF\x24\0\0\0WEBPVP8 ', 'latin1'))
  const said = await readImage('mask', webp).catch((e: SadaError) => e.message)
  assert.match(said as string, /"mask" to be a PNG or JPEG file, received a file that is neither\./)
})

test('resizing keeps means and flat colours, covers the size and cuts evenly', () => {
  const flat = { width: 7, height: 5, data: new Uint8Array(7 * 5 * 3).fill(77) }
  for (const [width, height] of [
    [7, 5],
    [3, 3],
    [16, 4],
    [1, 1],
    [33, 32],
  ]) {
    const { data, ...size } = resize(flat, width, height)
    assert.equal([size, data.length, new Set(data)], [{ width, height }, width * height * 3, new Set([77])])
  }
  // Halved: the means of pairs, at the edges and elsewhere weighted by a triangle of two pixels, which a ramp does not show.
  const ramp = { width: 8, height: 2, data: Uint8Array.from({ length: 16 }, (_, k) => (k % 8) * 20) }
  assert.equal([...resize(ramp, 4, 1).data].slice(1, 3), [50, 90])
  // From 8 × 2 to 2 × 2: the middle, columns 3 and 4.
  assert.equal([...resize(ramp, 2, 2).data], [60, 80, 60, 80])
})

test('a pixel of a quarter of the size is the mean over a triangle of four pixels to either side', () => {
  // Weights of columns 0 to 5 for the left pixel, whose centre is 2: 5, 7, 7, 5, 3, 1 of 28; of 2 to 7 for the right one, mirrored.
  const left = [5, 7, 7, 5, 3, 1, 0, 0]
  for (const [column, share] of left.entries()) {
    const data = Uint8Array.from({ length: 64 }, (_, k) => (k % 8 === column ? 224 : 0))
    const expected = [8 * share, 8 * left[7 - column]]
    assert.equal([...resize({ width: 8, height: 8, data }, 2, 2).data], [...expected, ...expected], `column ${column}`)
  }
})

test('what is cut off does not count, and takes no memory: of a column of five million pixels the middle is seen', () => {
  const [middle, side] = [[10, 250, 90], 1024]
  const column = new Uint8Array(5_000_001).fill(77)
  column.set(middle, 2_499_999)
  const row = { width: column.length, height: 1, data: column }
  const expected = resize({ width: 1, height: 3, data: Uint8Array.from(middle) }, side, side)
  // At the centre it is the middle pixel's own, to the half of a row; at the edges the mean with its neighbour.
  const seen = [0, side / 2, side - 1].map((y) => expected.data[y * side])
  assert.equal(seen, [130, 250, 170])
  const down = resize({ width: 1, height: column.length, data: column }, side, side).data
  assert.ok(Buffer.from(down).equals(Buffer.from(expected.data)))
  const across = resize(row, side, side).data
  assert.equal(
    [0, side / 2, side - 1].map((x) => across[x]),
    seen,
  )
})

/** Pictures of 9 × 2 by Pillow 13.0, `Image.save` of modes "1" and "P" with `bits=2`: rows that fill no whole bytes. */
const CHECKED = 'iVBORw0KGgoAAAANSUhEUgAAAAkAAAACAQAAAACiLct+AAAADklEQVR4nGMIZWBcdQ0AA9wB18Gmmv4AAAAASUVORK5CYII='
const PALETTE =
  'iVBORw0KGgoAAAANSUhEUgAAAAkAAAACAgMAAAD3OB5AAAAADFBMVEUKFB7IZAABAgMAAAAMAfnfAAAAEElEQVR4nGOU8JRnSGxjAAAFOAFpu8cecgAAAABJRU5ErkJggg=='
const WITH_ALPHA =
  'iVBORw0KGgoAAAANSUhEUgAAAAkAAAACAgMAAAD3OB5AAAAADFBMVEUKFB7IZAABAgMAAAAMAfnfAAAAA3RSTlMAgP/s97MYAAAAEElEQVR4nGOU8JRnSGxjAAAFOAFpu8cecgAAAABJRU5ErkJggg=='

test('PNG files of one bit and with a palette are read as pixels', async () => {
  const places = Array.from({ length: 18 }, (_, k) => (k % 9) + Math.floor(k / 9))
  const read = async (base64: string) => [...(await readImage('mask', new Uint8Array(Buffer.from(base64, 'base64')))).data]
  assert.equal(
    await read(CHECKED),
    places.flatMap((k) => [0, 0, 0].fill(255 * (k % 2))),
  )
  const colours = [
    [10, 20, 30, 0],
    [200, 100, 0, 128],
    [1, 2, 3, 255],
  ]
  assert.equal(
    await read(PALETTE),
    places.flatMap((k) => colours[k % 3].slice(0, 3)),
  )
  assert.equal(
    await read(WITH_ALPHA),
    places.flatMap((k) => colours[k % 3]),
  )
})

/** 8 × 8 pixels of (200, 60, 20) by Pillow 13.0, `Image.save(quality=90, keep_rgb=True)`: no luminance, and Adobe's segment says so. */
const RGB_JPEG =
  '/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBETFBUVFQwPFxgWFBgSFBUU/8AAEQgACAAIA1IRAEcRAEIRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAAwDUgBHAEIAAD8A+wK+Sq/N+v/Z'

test("a JPEG file of red, green and blue is read as such, by Adobe's segment or by the names of its components", async () => {
  const file = Buffer.from(RGB_JPEG, 'base64')
  const named = Buffer.concat([file.subarray(0, 2), file.subarray(18)])
  for (const each of [file, named, Buffer.concat([file.subarray(0, 2), Buffer.from([0xff]), file.subarray(2)])]) {
    const { data } = await readImage('init', new Uint8Array(each))
    assert.equal([...data.subarray(0, 4)], [200, 60, 20, 255])
  }
})

/** 24 × 16 pixels, blocks of 8 × 8 in the colours below, by Pillow 13.0, `Image.save(progressive=True, quality=90, subsampling=0)`: ten scans. */
const PROGRESSIVE_JPEG =
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wgARCAAQABgDAREAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAABQf/xAAXAQEAAwAAAAAAAAAAAAAAAAAGBQcI/9oADAMBAAIQAxAAAAGY3DBsDHTAt2+7ykwMdMC3f//EABQQAQAAAAAAAAAAAAAAAAAAACD/2gAIAQEAAQUCX//EABQRAQAAAAAAAAAAAAAAAAAAACD/2gAIAQMBAT8BX//EABQRAQAAAAAAAAAAAAAAAAAAACD/2gAIAQIBAT8BX//EABQQAQAAAAAAAAAAAAAAAAAAACD/2gAIAQEABj8CX//EABQQAQAAAAAAAAAAAAAAAAAAACD/2gAIAQEAAT8hX//aAAwDAQACAAMAAAAQ3+//AP/EABQRAQAAAAAAAAAAAAAAAAAAACD/2gAIAQMBAT8QX//EABQRAQAAAAAAAAAAAAAAAAAAACD/2gAIAQIBAT8QX//EABQQAQAAAAAAAAAAAAAAAAAAACD/2gAIAQEAAT8QX//Z'

test('a progressive JPEG file is read; one with scans without end is refused before it is decoded', async () => {
  const file = Buffer.from(PROGRESSIVE_JPEG, 'base64')
  const { width, height, data } = await readImage('init', new Uint8Array(file))
  assert.equal([width, height], [24, 16])
  const colours = [40, 120, 200].map((red, column) => [red, 200 - 50 * column])
  for (const [k, value] of data.entries()) {
    const [x, y, channel] = [Math.floor(k / 4) % 24, Math.floor(k / 96), k % 4]
    const [red, blue] = colours[Math.floor(x / 8)]
    // Quality 90 keeps flat blocks to some units.
    assert.ok(Math.abs(value - [red, 60 + 100 * Math.floor(y / 8), blue, 255][channel]) <= 3, `${x}, ${y}: ${value}`)
  }
  // The last scan, of 10 bytes and its coded pixels, once more and once more.
  const last = file.subarray(file.lastIndexOf(Buffer.of(0xff, 0xda)), -2)
  const many = Buffer.concat([file.subarray(0, -2), ...Array<Buffer>(1000).fill(last), file.subarray(-2)])
  const error = (await readImage('init', new Uint8Array(many)).catch((e: unknown) => e)) as SadaError
  assert.equal([error.code, error.argument], ['INVALID_ARGUMENT', 'init'])
  assert.match(error.message, /more than 100 components/)
})

test('frames that the header does not have are not made', async () => {
  const frame = (side: number, components: number): number[] => [
    ...[0xff, 0xc0, 0, 8 + 3 * components, 8, side >> 8, side & 255, side >> 8, side & 255, components],
    ...Array.from({ length: 3 * components }, (_, k) => [Math.floor(k / 3), 0x11, 0][k % 3]),
  ]
  const files = [
    [...frame(2048, 1), ...frame(8, 1)],
    // The decoder forgives one segment that begins a byte late.
    [0xff, 0xe0, 0, 2, 0, 0xe1, 0, 2, ...frame(2048, 1)],
    Array<number[]>(10).fill(frame(256, 80)).flat(),
  ]
  for (const [k, limit] of ['maxResolutionInMP', 'maxResolutionInMP', 'maxMemoryUsageInMB'].entries()) {
    const error = (await readImage('init', Uint8Array.of(0xff, 0xd8, ...files[k])).catch((e: unknown) => e)) as SadaError
    assert.ok(error.message.includes(`${limit} limit exceeded`), error.message)
  }
})

/** 24 × 16 grey pixels, blocks of 20 60 100 / 140 180 220, by Pillow 13.0 with `exif[0x0112] = 1`, the number at byte 49. */
const TURNED_JPEG =
  '/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAEAAAAAAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/wAALCAAQABgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/APzfr2uvaq9rr2uvaq//2Q=='

test('a JPEG file is seen upright, as the camera was held', async () => {
  // Blocks of the rows that PIL.ImageOps.exif_transpose gives for 1, 2, 3 …; what is none counts as 1.
  const expected = [
    [20, 60, 100, 140, 180, 220],
    [100, 60, 20, 220, 180, 140],
    [220, 180, 140, 100, 60, 20],
    [140, 180, 220, 20, 60, 100],
    [20, 140, 60, 180, 100, 220],
    [140, 20, 180, 60, 220, 100],
    [220, 100, 180, 60, 140, 20],
    [100, 220, 60, 180, 20, 140],
    [20, 60, 100, 140, 180, 220],
  ]
  for (const [k, blocks] of expected.entries()) {
    const file = Buffer.from(TURNED_JPEG, 'base64')
    file[49] = k + 1
    const { width, height, data } = await readImage('init', new Uint8Array(file))
    assert.equal([width, height], k >= 4 && k < 8 ? [16, 24] : [24, 16])
    const seen = blocks.map((_, j) => {
      const [x, y] = [(j % (width / 8)) * 8, Math.floor(j / (width / 8)) * 8]
      return data[(y * width + x) * 4]
    })
    assert.equal(seen, blocks, `orientation ${k + 1}`)
  }
})

test('an EXIF segment may count from the low byte up', async () => {
  const file = Buffer.from(TURNED_JPEG, 'base64')
  file.set([0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0], 30)
  assert.equal((await readImage('init', new Uint8Array(file))).width, 16)
})

test('a JPEG file whose EXIF segment is cut, or names nothing, is read as it lies', async () => {
  for (const [at, value] of [
    [37, 0xff], // the directory lies beyond the segment
    [39, 0], // it has no entries
    [41, 0x13], // another tag
  ]) {
    const file = Buffer.from(TURNED_JPEG, 'base64')
    file[49] = 6
    file[at] = value
    assert.equal((await readImage('init', new Uint8Array(file))).width, 24, `byte ${at}`)
  }
})

test('a JPEG file of a few bytes that says it has many pixels is refused at once', async () => {
  const { data: file } = encodeJpeg({ width: 16, height: 8, data: Buffer.alloc(512, 9) }, 90)
  const frame = file.indexOf(Buffer.from([0xff, 0xc0]))
  // Less memory than for what the decoder refuses itself.
  file.writeUInt16BE(4000, frame + 5)
  file.writeUInt16BE(4000, frame + 7)
  const said = await readImage('init', new Uint8Array(file)).catch((error: SadaError) => error.message)
  assert.match(said as string, /bytes are too few for 4000 × 4000 pixels/)
})

test('an interlaced PNG file of fewer than 8 bits is refused with what would do', async () => {
  const said = await readImage('mask', pngOf(deflateSync(Buffer.alloc(9)), { depth: 1, colour: 0, interlaced: 1 })).catch(
    (error: SadaError) => error.message,
  )
  assert.match(said as string, /interlaced with 1 bits; save it without interlacing/)
})

/** A PNG file of 8 × 8 pixels, 8-bit RGB where nothing else is said, with `data` as its picture and `extra` before it. Sums are not looked at. */
function pngOf(
  data: Uint8Array,
  { size = [8, 8], depth = 8, colour = 2, interlaced = 0, extra = [] as [string, Buffer][] } = {},
): Uint8Array {
  const chunk = ([type, body]: readonly [string, Uint8Array]): Buffer => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(body.length)
    return Buffer.concat([length, Buffer.from(type, 'latin1'), body, Buffer.alloc(4)])
  }
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, depth, colour, 0, 0, interlaced])
  size.forEach((side, k) => header.writeUInt32BE(side, 4 * k))
  const chunks = [['IHDR', header] as const, ...extra, ['IDAT', data] as const, ['IEND', Buffer.alloc(0)] as const]
  return new Uint8Array(Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...chunks.map(chunk)]))
}

test('a PNG file that unpacks to more than its header says is refused before it does; what is beside its picture is not unpacked', async () => {
  const refusal = async (file: Uint8Array): Promise<string> =>
    readImage('init', file).then(
      () => 'read',
      (error: SadaError) => `${error.code} ${error.message}`,
    )
  const bomb = deflateSync(Buffer.alloc(1 << 26))
  assert.match(await refusal(pngOf(bomb)), /INVALID_ARGUMENT.*unpacks to more than its header says/)
  assert.match(await refusal(pngOf(bomb, { size: [60_000, 60_000] })), /INVALID_ARGUMENT.*60000 × 60000 pixels/)
  const picture = deflateSync(Buffer.alloc(8 * 25, 0))
  const profile = Buffer.concat([Buffer.from('x\0\0'), Buffer.from('not packed')])
  const { width, data } = await readImage('init', pngOf(picture, { extra: [['iCCP', profile]] }))
  assert.equal([width, [...data]], [8, Array(192).fill(0)])
})

test('a WAV file: its header by hand, samples clipped to 16 bits', () => {
  const file = Buffer.from(new Sound(Float32Array.of(0, 1, -1, 2, -2, 0.5, NaN), 16_000).wav())
  const text = (from: number, to: number) => file.toString('latin1', from, to)
  assert.equal([text(0, 4), text(8, 16), text(36, 40), file.length], ['RIFF', 'WAVEfmt ', 'data', 44 + 14])
  assert.equal(
    [file.readUInt32LE(4), file.readUInt32LE(24), file.readUInt32LE(28), file.readUInt32LE(40)],
    [36 + 14, 16_000, 32_000, 14],
  )
  assert.equal([file.readUInt16LE(20), file.readUInt16LE(22), file.readUInt16LE(32), file.readUInt16LE(34)], [1, 1, 2, 16])
  const samples = Array.from({ length: 7 }, (_, k) => file.readInt16LE(44 + 2 * k))
  assert.equal(samples, [0, 32767, -32767, 32767, -32768, 16384, 0])
})

test.run()
