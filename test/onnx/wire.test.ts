import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WireReader } from '../../ts/onnx/wire.ts'
import { field, integer, varint } from '../support/onnx.ts'

const readerOf = (...parts: readonly (Uint8Array | readonly number[])[]): WireReader =>
  new WireReader(Buffer.concat(parts.map((each) => Buffer.from(each))), 'file')

/** The fields of a message, as number and value, or number and bytes. */
function fieldsOf(...parts: readonly (Uint8Array | readonly number[])[]): [number, number | string][] {
  const reader = readerOf(...parts)
  const found: [number, number | string][] = []
  reader.message(reader.size, (number, end, value) => found.push([number, value ?? reader.content(end).toString('hex')]))
  return found
}
const codeOf = (work: () => unknown): string | undefined => {
  try {
    work()
    return undefined
  } catch (error) {
    return (error as { code?: string }).code
  }
}
const refusal = (...parts: readonly (Uint8Array | readonly number[])[]): string | undefined => codeOf(() => fieldsOf(...parts))

test('numbers are int64, of one to ten bytes', () => {
  for (const value of [0, 1, 127, 128, 300, 2 ** 31, 2 ** 32, 2 ** 53, -1, -2, -(2 ** 31)])
    assert.equal(fieldsOf(integer(5, value)), [[5, value]], String(value))
  // To the last bit that a number can hold of them.
  for (const value of [2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n)]) assert.equal(fieldsOf(integer(5, value)), [[5, Number(value)]])
  // Of nine bytes, whatever comes next.
  assert.equal(fieldsOf(integer(5, 2n ** 62n), [1 * 8 + 1, ...Array<number>(8).fill(1)]), [[5, 2 ** 62]])
  assert.equal(fieldsOf([8, 0x80, 0x80, 0]), [[1, 0]], 'longer than it has to be')
  assert.is(refusal([8, ...Array<number>(9).fill(0x80), 0]), undefined)
  assert.is(refusal([8, ...Array<number>(10).fill(0x80), 0]), 'MODEL_CORRUPT')
  for (const cut of [[8], [8, 0x80], [0x80]]) assert.is(refusal(cut), 'MODEL_CORRUPT')
})

test('a field is a number, or bytes that lie within its message; what has four or eight bytes is passed over', () => {
  assert.equal(fieldsOf(field(2, 'ab'), field(3, ''), integer(1, 7)), [
    [2, '6162'],
    [3, ''],
    [1, 7],
  ])
  const wide = [1 * 8 + 1, ...Array<number>(8).fill(8)]
  const narrow = [1 * 8 + 5, ...Array<number>(4).fill(8)]
  assert.equal(fieldsOf(wide, narrow, integer(4, 1)), [[4, 1]])
  for (const cut of [wide.slice(0, -1), narrow.slice(0, -1), [2 * 8 + 2, 3, 0, 0], [2 * 8 + 2, ...varint(-11)]])
    assert.is(refusal(cut), 'MODEL_CORRUPT', String(cut))
  const long = readerOf([2 * 8 + 2, 3, 0, 0])
  assert.throws(() => long.message(long.size, () => assert.unreachable('told of what is beyond')), /longer than what holds it/)
  for (const wire of [3, 4, 6, 7]) assert.is(refusal([8 + wire, 0, 0]), 'MODEL_CORRUPT', String(wire))
})

test('what an inner message says is within it, and what nobody reads of it is passed over', () => {
  const reader = readerOf(field(1, integer(2, 3)), field(1, integer(2, 4)), integer(5, 6))
  const seen: unknown[] = []
  reader.message(reader.size, (number, end, value) => {
    if (seen.length === 0) reader.message(end, (...inner) => seen.push(inner[0], inner[2]))
    else seen.push(number, value)
  })
  assert.equal(seen, [2, 3, 1, undefined, 5, 6])
  // A field of the outer one that would begin within the inner one.
  assert.is(refusalOfInner([2 * 8 + 1, 0, 0]), 'MODEL_CORRUPT')
  assert.is(refusalOfInner([2 * 8 + 2, 9]), 'MODEL_CORRUPT')
})

function refusalOfInner(content: readonly number[]): string | undefined {
  const reader = readerOf(field(1, Buffer.from(content)), field(3, Buffer.alloc(20)))
  return codeOf(() => reader.message(reader.size, (number, end) => number === 1 && reader.message(end, () => {})))
}

test('the number of a field is what protobuf reads as well: below 2²⁹', () => {
  assert.equal(fieldsOf([...varint(2 ** 32 - 8), 1]), [[2 ** 29 - 1, 1]])
  for (const tag of [2 ** 32, 2 ** 40, -8]) assert.is(refusal([...varint(tag), 1]), 'MODEL_CORRUPT', String(tag))
})

test('a number is no text, no bytes and no message', () => {
  const reads: ((reader: WireReader, end: number) => unknown)[] = [
    (reader, end) => reader.string(end),
    (reader, end) => reader.content(end),
    (reader, end) => reader.message(end, () => {}),
  ]
  for (const read of reads) {
    const [number, bytes] = [readerOf(integer(1, 3)), readerOf(field(1, ''))]
    assert.is(
      codeOf(() => number.message(number.size, (_, end) => read(number, end))),
      'MODEL_CORRUPT',
    )
    assert.is(
      codeOf(() => bytes.message(bytes.size, (_, end) => read(bytes, end))),
      undefined,
    )
  }
})

test('messages lie a hundred deep at most, any number of them beside each other', () => {
  const nested = (depth: number): Buffer => (depth === 1 ? Buffer.alloc(0) : field(1, nested(depth - 1)))
  const read = (content: Buffer): string | undefined => {
    const reader = readerOf(content)
    const enter = (end: number): void => reader.message(end, (_, to) => enter(to))
    return codeOf(() => enter(reader.size))
  }
  assert.is(read(nested(100)), undefined)
  assert.is(read(nested(101)), 'MODEL_TOO_LARGE')
  assert.is(read(Buffer.concat(Array.from({ length: 300 }, () => nested(50)))), undefined)
})

test('a file has four million fields at most', () => {
  const fields = Buffer.alloc(2 * 2 ** 22, Buffer.from([8, 0]))
  const read = (content: Buffer): string | undefined => {
    const reader = readerOf(content)
    return codeOf(() => reader.message(reader.size, () => {}))
  }
  assert.is(read(fields), undefined)
  assert.is(read(Buffer.concat([fields, integer(1, 0)])), 'MODEL_TOO_LARGE')
})

test('a name has 65536 bytes at most', () => {
  const read = (length: number): string | undefined => {
    const reader = readerOf(field(1, Buffer.alloc(length, 'a')))
    return codeOf(() => reader.message(reader.size, (_, end) => assert.is(reader.string(end).length, length)))
  }
  assert.is(read(2 ** 16), undefined)
  assert.is(read(2 ** 16 + 1), 'MODEL_CORRUPT')
})

test('numbers come packed or one by one, as many as are asked for', () => {
  const read = (content: Uint8Array, most?: number): number[] => {
    const reader = readerOf(content)
    const found: number[] = []
    reader.message(reader.size, (_, end, value) => found.push(...reader.numbers(end, value, most)))
    return found
  }
  const packed = field(1, Buffer.from([0, 300, 5].flatMap(varint)))
  assert.equal(read(packed), [0, 300, 5])
  assert.equal(read(packed, 2), [0, 300])
  assert.equal(read(Buffer.concat([integer(1, 0), integer(1, 5)])), [0, 5])
})

test.run()
