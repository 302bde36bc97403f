import { SadaError } from '../errors.ts'

/** As protobuf itself has it: messages within messages. */
const DEEPEST = 100
/** Of the whole file. Networks have some hundred thousand; each takes a hundred times its bytes once it is parsed. */
const MOST_FIELDS = 2 ** 22
const LONGEST_NAME = 1 << 16
/** Protobuf cuts a field's number to what fits here, and would read it as another field. */
const LARGEST_TAG = 2 ** 32 - 1

/** Told of a field: the end of its content, or its value where it is a number. */
type Visit = (field: number, end: number, value: number | undefined) => void

/** Protocol Buffers' wire format in memory. Throws MODEL_CORRUPT, MODEL_TOO_LARGE. */
export class WireReader {
  readonly size: number
  private readonly bytes: Buffer
  private readonly path: string
  private at = 0
  private fields = 0
  private depth = 0
  /** Whether the field that is visited has a length. */
  private hasLength = true

  constructor(bytes: Buffer, path: string) {
    this.bytes = bytes
    this.path = path
    this.size = bytes.length
  }

  corrupt(what: string): SadaError {
    return new SadaError('MODEL_CORRUPT', `${this.path} is not a sound ONNX file: ${what}.`)
  }

  tooLarge(what: string): SadaError {
    return new SadaError('MODEL_TOO_LARGE', `${this.path} has ${what}.`)
  }

  /** Calls `visit` for the fields of a message, positioned at the content of those with a length; what it leaves unread is skipped. */
  message(end: number, visit: Visit): void {
    this.expectLength()
    if (++this.depth > DEEPEST) throw this.tooLarge(`messages within messages, more than ${DEEPEST}`)
    while (this.at < end) {
      if (++this.fields > MOST_FIELDS) throw this.tooLarge(`more than ${MOST_FIELDS} fields`)
      const tag = this.varint()
      if (!(tag >= 0 && tag <= LARGEST_TAG)) throw this.corrupt('a field has a number that is none')
      const [field, wire] = [Math.floor(tag / 8), tag % 8]
      this.hasLength = wire === 2
      if (wire === 0) {
        const value = this.varint()
        visit(field, this.at, value)
      } else if (wire === 1) this.at += 8
      else if (wire === 5) this.at += 4
      else if (wire === 2) {
        const length = this.varint()
        const to = this.at + length
        if (!(length >= 0 && to <= end)) throw this.corrupt('a field is longer than what holds it')
        visit(field, to, undefined)
        this.at = to
      } else throw this.corrupt(`wire type ${wire}`)
    }
    if (this.at !== end) throw this.corrupt('a field is longer than what holds it')
    this.depth--
  }

  string(end: number): string {
    this.expectLength()
    if (end - this.at > LONGEST_NAME) throw this.corrupt(`a name of ${end - this.at} bytes`)
    return this.bytes.toString('utf8', this.at, end)
  }

  /** The content of a field, in place. */
  content(end: number): Buffer {
    this.expectLength()
    return this.bytes.subarray(this.at, end)
  }

  /** A repeated number, packed or (`value`) by itself. */
  numbers(end: number, value: number | undefined, most = Infinity): number[] {
    if (value !== undefined) return [value]
    const all: number[] = []
    while (this.at < end && all.length < most) all.push(this.varint())
    return all
  }

  /** Protobuf passes over a field whose content is of another kind, and keeps what it had before. */
  private expectLength(): void {
    if (!this.hasLength) throw this.corrupt('a field holds a number instead of text or a message')
  }

  /** As int64: numbers beyond 2⁵³ lose their last digits. */
  private varint(): number {
    let value = 0
    const from = this.at
    for (let k = 0; k < 10; k++) {
      if (this.at >= this.size) throw this.corrupt('it ends in the middle of a field')
      const byte = this.bytes[this.at++]
      value += (byte & 0x7f) * 2 ** (7 * k)
      if (byte < 0x80) return k < 9 ? value : this.wide(from)
    }
    throw this.corrupt('a number without an end')
  }

  /** The ten bytes of a negative number. */
  private wide(from: number): number {
    let value = 0n
    for (let k = 0; k < 10; k++) value |= BigInt(this.bytes[from + k] & 0x7f) << BigInt(7 * k)
    return Number(BigInt.asIntN(64, value))
  }
}
