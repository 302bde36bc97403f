import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkBytes, headerOf, isRgb, upright, withoutTrailer } from '../../ts/pipeline/jpeg.ts'

// What is read of a JPEG file's header, on headers written by hand (ITU T.81, annex B). Whole files are in media.test.ts.

type Segment = readonly [marker: number, body: readonly number[]]
const bytes = (text: string): number[] => [...Buffer.from(text, 'latin1')]
const written = ([marker, body]: Segment): number[] => [0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255, ...body]
const file = (...parts: (Segment | number)[]): Uint8Array =>
  Uint8Array.from([0xff, 0xd8, ...parts.flatMap((part) => (typeof part === 'number' ? [part] : written(part)))])

const frame = (names: string, marker = 0xc0): Segment => [
  marker,
  [8, 0, 8, 0, 8, names.length, ...bytes(names).flatMap((name) => [name, 0x11, 0])],
]
const [rgb, ycc] = [frame('RGB'), frame('\x01\x02\x03')]
const jfif: Segment = [0xe0, [...bytes('JFIF\0'), 1, 1, 0, 0, 1, 0, 1, 0, 0]]
const adobe = (transform: number): Segment => [0xee, [...bytes('Adobe'), 0, 100, 0, 0, 0, 0, transform]]
const scan: Segment = [0xda, [3, 0, 0, 0, 0, 0, 0, 0, 63, 0]]
const comment = (text: string): Segment => [0xfe, bytes(text)]
const hasRgb = (whole: Uint8Array): boolean => isRgb(headerOf(whole))

test('colours are what libjpeg takes them for: JFIF has luminance, Adobe says what it has, names count where there is neither', () => {
  const cases: [is: boolean, what: string, file: Uint8Array][] = [
    [true, 'names', file(rgb)],
    [false, 'other names', file(ycc)],
    [false, 'JFIF', file(jfif, rgb)],
    [false, "JFIF before Adobe's", file(jfif, adobe(0), ycc)],
    [true, 'an extension of JFIF alone', file([0xe0, bytes('JFXX\0\x10')], rgb)],
    [true, 'a comment on JFIF', file(comment('JFIF\0'), rgb)],
    [true, "Adobe's: no transform", file(adobe(0), ycc)],
    [true, "Adobe's behind the frame", file(ycc, adobe(0))],
    [false, "Adobe's: luminance", file(adobe(1), rgb)],
    [false, 'four components', file(adobe(0), frame('\x01\x02\x03\x04'))],
    [true, "a segment of Adobe's number", file([0xee, [...bytes('Ducky'), 0, 100, 0, 0, 0, 0, 1]], rgb)],
    [true, "a comment on Adobe's", file([0xfe, adobe(1)[1]], rgb)],
  ]
  for (const [is, what, each] of cases) assert.is(hasRgb(each), is, what)
})

test('a header ends at the first scan, or at what is no marker; long segments are passed over', () => {
  assert.is(hasRgb(file(ycc, scan, adobe(0))), false)
  assert.is(hasRgb(file(ycc, 0, adobe(0))), false)
  assert.is(hasRgb(file(comment('x'.repeat(300)), comment('x'.repeat(600)), rgb)), true)
})

test('a frame has any marker from C0 to CF but those of Huffman tables, arithmetic tables and extensions', () => {
  for (let marker = 0xc0; marker <= 0xcf; marker++)
    assert.is(hasRgb(file(frame('RGB', marker))), ![0xc4, 0xc8, 0xcc].includes(marker), marker.toString(16))
  for (const marker of [0xbf, 0xd0, 0xdb, 0xdd]) assert.is(hasRgb(file(frame('RGB', marker))), false, marker.toString(16))
})

/** 3 × 2 pixels, numbered row by row, as a file with these parts has them seen: width, height, numbers. */
const seen = (...parts: Segment[]): string => {
  const pixels = Uint8Array.from({ length: 24 }, (_, k) => Math.floor(k / 4) + 1)
  const { width, height, data } = upright({ width: 3, height: 2, data: pixels }, headerOf(file(...parts)))
  return `${width}×${height} ${data.filter((_, k) => k % 4 === 0).join('')}`
}
const exif = (tiff: readonly number[], head = 'Exif\0\0'): Segment => [0xe1, [...bytes(head), ...tiff]]
const DIRECTORY = [...bytes('MM'), 0, 42, 0, 0, 0, 8]
const ENTRY = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0]
/** The entry ends with the number: what would fill it up is left out. */
const turnedBy = (orientation: number): number[] => [...DIRECTORY, 0, 1, ...ENTRY, orientation]

test('a picture is turned and mirrored by what its EXIF segment says, wherever that and its entry stand', () => {
  const turned = ['123456', '321654', '654321', '456123', '142536', '415263', '635241', '362514']
  for (const [k, numbers] of turned.entries())
    assert.is(seen(exif(turnedBy(k + 1))), `${k < 4 ? '3×2' : '2×3'} ${numbers}`, `orientation ${k + 1}`)
  const others = [1, 2].flatMap((tag) => [0x01, tag, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0])
  assert.is(seen(exif([...DIRECTORY, 0, 3, ...others, ...ENTRY, 2])), '3×2 321654')
  assert.is(seen(exif([...bytes('MM'), 0, 42, 0, 0, 0, 10, 0, 0, 0, 1, ...ENTRY, 2])), '3×2 321654')
  assert.is(seen(exif(turnedBy(2)), jfif, adobe(1), rgb), '3×2 321654')
  assert.is(hasRgb(file(jfif, exif(turnedBy(2)), rgb)), false)
})

test('a picture lies as it is where no EXIF segment names an orientation, or one that is cut', () => {
  for (const parts of [
    [jfif, rgb],
    [exif(turnedBy(2), 'Exif\0\x01')],
    [comment(`Exif\0\0${Buffer.from(turnedBy(2)).toString('latin1')}`)],
    [exif(turnedBy(2).slice(0, -2))],
    [exif(turnedBy(2).slice(0, -1))],
    [exif(turnedBy(9))],
    [exif(turnedBy(0))],
    [exif(DIRECTORY)],
    [exif(DIRECTORY.slice(0, 7))],
    [exif([])],
  ])
    assert.is(seen(...parts), '3×2 123456')
})

test('the first EXIF segment counts, also where it names no orientation', () => {
  assert.is(seen(exif(turnedBy(2)), exif(turnedBy(3))), '3×2 321654')
  assert.is(seen(exif(DIRECTORY), exif(turnedBy(3))), '3×2 123456')
  // What is no EXIF segment is not the first one.
  assert.is(seen(exif(turnedBy(2), 'http:/'), exif(turnedBy(3))), '3×2 654321')
})

test('reading a header takes milliseconds, however many entries 900 EXIF segments claim to have', () => {
  const whole = file(...Array<Segment>(900).fill(exif([...DIRECTORY, 0xff, 0xff])), rgb)
  const startedAt = performance.now()
  assert.is(headerOf(whole).width, 8)
  // Making the entries took some 10 ms a segment.
  const ms = performance.now() - startedAt
  assert.ok(ms < 1000, `${ms} ms`)
})

test('a file may have 1000 segments before its first scan, and not one more', () => {
  const many = (count: number): Uint8Array => file(...Array<Segment>(count - 1).fill(comment('')), rgb, scan)
  assert.is(headerOf(many(1000)).width, 8)
  assert.throws(() => headerOf(many(1001)), /^more than 1000 segments before its first scan$/)
  assert.throws(() => headerOf(file(...Array<number>(2000).fill(0xff))), /more than 1000 segments/)
})

test('a block takes a bit at least: a file of n bytes has at most 8·n of them, and what is left over of one', () => {
  const sized = (width: number): Uint8Array => file([0xc0, [8, 0, 8, width >> 8, width & 255, 1, 1, 0x11, 0]])
  const blocks = 8 * sized(0).length
  const check = (whole: Uint8Array): void => checkBytes(whole, headerOf(whole))
  check(sized(8 * blocks))
  check(sized(8 * blocks + 7))
  assert.throws(() => check(sized(8 * blocks + 8)), new RegExp(`too few for ${8 * blocks + 8} × 8 pixels`))
  // Without a frame it is for the decoder to say what is wrong.
  check(file(jfif))
})

/** A scan of one component, which says nothing of it. */
const short: Segment = [0xda, [1, 1, 0, 1, 63, 0]]
const END: Segment = [0xd9, []]
const pictureOf = (whole: Uint8Array): Uint8Array => withoutTrailer(whole, headerOf(whole))

test('scans read 100 components at most, whatever a segment before them says of its length; those of notes are not counted', () => {
  const scans = (count: number): Segment[] => Array<Segment>(count).fill(short)
  const isRefused = (...parts: Segment[]): void =>
    assert.throws(() => pictureOf(file(...parts)), /^scans that read more than 100 components$/)
  const isTaken = (...parts: Segment[]): void => void pictureOf(file(...parts))
  isTaken(jfif, ycc, scan, ...scans(97), END)
  isRefused(jfif, ycc, scan, ...scans(98), END)
  isRefused(jfif, ycc, ...scans(101))
  // One scan may name a component many times, and a decoder does not ask how long it says to be.
  isRefused(ycc, [0xda, [101, ...Array<number>(202).fill(1), 1, 63, 0]])
  // Within the frame's segment, of which a decoder reads no more than the components.
  isRefused([0xc2, [...ycc[1], ...scans(101).flatMap(written)]], scan, END)
  const thumbnails = scans(200).flatMap(written)
  isTaken(jfif, [0xe1, thumbnails], [0xfe, thumbnails], ycc, scan, END)
})

test('what follows a picture is not handed on; an end within a note is none', () => {
  const picture = file(jfif, [0xe1, [0xff, 0xd9]], ycc, scan, short)
  const whole = Uint8Array.of(...picture, 0xff, 0xd9)
  assert.equal(pictureOf(Uint8Array.of(...whole, 1, 2, 3, ...written([0xda, [200]]))), whole)
  assert.equal(pictureOf(picture), picture)
  assert.equal(pictureOf(file(jfif)), file(jfif))
})

test.run()
