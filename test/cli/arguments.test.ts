import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decimal, entries, integer, parsePolicies, parsePolicy, size } from '../../ts/cli/arguments.ts'
import { pictureSize, sheet } from '../../ts/cli/sheet.ts'
import { Picture } from '../../ts/pipeline/image.ts'

test('policies are names, with options behind a colon; commas part policies, or options where a name= follows', () => {
  assert.equal(parsePolicies('sada'), ['sada'])
  assert.equal(parsePolicies('every-n:n=3,order=1'), [{ name: 'every-n', n: 3, order: 1 }])
  assert.equal(parsePolicies('every-n:n=2, order=0,sada/poster:prune=false,none'), [
    { name: 'every-n', n: 2, order: 0 },
    { name: 'sada/poster', prune: false },
    'none',
  ])
  assert.equal(parsePolicy('sada/poster:pruneWindow=2x4'), { name: 'sada/poster', pruneWindow: [2, 4] })
  const coefficients = [1.5, -2, 3e-7, 0.25]
  assert.equal(parsePolicy('teacache:coefficients=1.5x-2x3e-7x.25,tail=2'), { name: 'teacache', coefficients, tail: 2 })
})

test('wrong policies and options say what is wrong', () => {
  assert.throws(() => parsePolicies('sadda'), /Did you mean "sada"/)
  assert.throws(() => parsePolicies('every-n:warmupp=3'), /Did you mean "warmup"/)
  // "tail" is nearer, but does not begin so.
  assert.throws(() => parsePolicies('sada:tol=1'), /Did you mean "tolerance"/)
  assert.throws(() => parsePolicies('every-n:n=three'), /integer from 1 to 1000/)
  assert.throws(() => parsePolicies('every-n:n'), /name=value/)
  for (const twofold of ['every-n:n=3,n=4', 'every-n:name=sada'])
    assert.throws(() => parsePolicies(twofold), /each of them once, received "every-n:n/)
  assert.throws(() => parsePolicies('teacache:coefficients=1xx2'), /a list of 1 to 1000 numbers/)
  assert.throws(() => parsePolicies('n=3'), /Unknown policy/)
  assert.throws(() => parsePolicies(' , '), /separated by commas/)
})

test('auto without one target says how a command line gives one, and replay that none can', () => {
  for (const text of ['auto', 'auto:speedup=2,ms=800', 'auto:target=2', 'auto:psnrDb=0', 'auto:speedup=fast'])
    assert.throws(() => parsePolicy(text), /"policy" to be auto with one target above 0: auto:speedup=2, .*, received "auto/)
  assert.throws(() => parsePolicy('auto:speedupp=2'), /Did you mean "speedup"/)
  assert.throws(() => parsePolicy('auto:speedup=200'), /"policy.speedup" to be a number from 1 to 100/)
  assert.equal(parsePolicies('auto:psnrDb=40,sada'), [{ name: 'auto', psnrDb: 40 }, 'sada'])
  for (const text of ['replay', 'replay:recording=x'])
    assert.throws(() => parsePolicy(text), /needs its recording.* for programs/)
})

test('sizes are bytes, or multiples of powers of 1024', () => {
  const bytes = size('--memory-budget')
  assert.equal(['0', '512', '1K', '1.5k', '512M', '6G', '6GiB', '2TB'].map(bytes), [
    0,
    512,
    1024,
    1536,
    2 ** 29,
    6 * 2 ** 30,
    6 * 2 ** 30,
    2 ** 41,
  ])
  for (const wrong of ['', '-1', 'much', '6X', '6 G', '1e9', '9999999T', 'NaN'])
    assert.throws(() => bytes(wrong), /"--memory-budget" to be a number of bytes, like 512M or 6G/)
})

test('numbers are whole texts in range', () => {
  assert.is(integer('--n', 0, 9)('7'), 7)
  for (const bad of ['', '1.5', '10', '-1', '0x3', '3 ', 'NaN', '1e0'])
    assert.throws(() => integer('--n', 0, 9)(bad), /"--n".*from 0 to 9/)
  assert.is(decimal('--g', 0, 100)('2.5'), 2.5)
  assert.equal(['0.001', '600'].map(decimal('--s', 0, 600, true)), [0.001, 600])
  assert.throws(() => decimal('--s', 0, 600, true)('0'), /"--s" to be a number above 0, at most 600, received "0"/)
  for (const bad of ['', ' ', 'x', '101', '-1', 'Infinity', 'NaN'])
    assert.throws(() => decimal('--g', 0, 100)(bad), /from 0 to 100/)
})

test('an option that takes a list takes more where it is given again', () => {
  const names = entries('--names')
  assert.equal(names('a, b,,a'), ['a', 'b'])
  assert.equal(names('c,a', names('a,b')), ['a', 'b', 'c'])
  assert.throws(() => names(' ,', ['a']), /"--names" to be a name, or several separated by commas, received " ,"/)
  assert.equal(parsePolicies('every-n:n=2', parsePolicies('sada,none')), ['sada', 'none', { name: 'every-n', n: 2 }])
})

test('a sheet holds every picture whole, in reading order, on white', () => {
  for (const count of [1, 2, 3, 4, 5, 9]) {
    const pictures = Array.from({ length: count }, (_, k) => new Picture(3, 2, new Uint8Array(18).fill(k + 1)))
    const { width, height, data } = sheet(pictures)
    assert.is(data.length, width * height * 3)
    const seen = [...new Set(data)].filter((value) => value !== 255)
    assert.equal(
      seen,
      pictures.map((_, k) => k + 1),
    )
    for (let k = 1; k <= count; k++) assert.is(data.filter((value) => value === k).length, 18)
  }
})

test('a sheet is as square as can be, its pictures two white pixels apart', () => {
  for (const [count, columns, rows] of [
    [1, 1, 1],
    [2, 2, 1],
    [3, 2, 2],
    [4, 2, 2],
    [5, 3, 2],
    [7, 3, 3],
  ]) {
    const { width, height, data } = sheet(Array.from({ length: count }, () => new Picture(3, 2, new Uint8Array(18))))
    assert.equal([width, height], [3 * columns + 2 * (columns - 1), 2 * rows + 2 * (rows - 1)])
    assert.equal(pictureSize({ width, height }, count), [3, 2])
    // Where a pixel is black: within a picture, of those that there are.
    const isBlack = (x: number, y: number): boolean =>
      x % 5 < 3 && y % 4 < 2 && Math.floor(y / 4) * columns + Math.floor(x / 5) < count
    const expected = Array.from({ length: width * height }, (_, k) => (isBlack(k % width, Math.floor(k / width)) ? 0 : 255))
    assert.equal(
      [...data],
      expected.flatMap((each) => [each, each, each]),
    )
  }
})

test('a size that no sheet of so many has is none of pictures', () => {
  assert.is(pictureSize({ width: 131, height: 130 }, 4), undefined)
  assert.is(pictureSize({ width: 2, height: 2 }, 4), undefined)
})

test.run()
