import { closeSync, fstatSync, lstatSync, openSync, readSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SadaError } from '../errors.ts'
import { checkRelative } from './folder.ts'

// A look at an ONNX file before the engine gets it: which operators it asks for and which other files. Only lengths and names are
// read, never weights. Field numbers are those of onnx.proto.

const MOST_BYTES = 2 ** 31 - 1
const DEEPEST = 64
const LONGEST_NAME = 1 << 16
const WINDOW = 1 << 16

/** Operators that ONNX Runtime itself brings. */
const DOMAINS = ['', 'ai.onnx', 'ai.onnx.ml', 'ai.onnx.training', 'com.microsoft', 'com.microsoft.nchwc', 'com.ms.internal.nhwc']

interface Found {
  /** `location` of external tensors. */
  readonly locations: Set<string>
  readonly domains: Set<string>
  /** Domains of the functions that the file itself defines. */
  readonly functions: Set<string>
  hasEngine: boolean
}

/**
 * Checks a model file, given by its real path and the folder it was found in: it asks for no code but ONNX Runtime's own, and its weights lie in regular files beside it.
 * Throws MODEL_CORRUPT, MODEL_TOO_LARGE, UNTRUSTED_CODE, PATH_ESCAPE, PATH_UNSAFE or MODEL_NOT_FOUND.
 */
export function checkOnnxFile(path: string, folder = dirname(path)): void {
  const found: Found = { locations: new Set(), domains: new Set(), functions: new Set(), hasEngine: false }
  const reader = new WireReader(path)
  try {
    readModel(reader, found)
  } finally {
    reader.close()
  }
  if (found.hasEngine) {
    const what = 'holds a compiled engine (an EPContext node), which can run code of its own'
    throw new SadaError('UNTRUSTED_CODE', `${path} ${what}. Use the plain ONNX model.`)
  }
  const unknown = [...found.domains].find((domain) => !DOMAINS.includes(domain) && !found.functions.has(domain))
  if (unknown !== undefined)
    throw new SadaError('UNTRUSTED_CODE', `${path} needs operators of "${unknown}", which ONNX Runtime does not have.`)
  if (found.locations.size > 0 && folder !== dirname(path)) {
    const hint = 'Copy the folder with its links followed (cp -rL), or download it with --local-dir.'
    throw new SadaError(
      'PATH_UNSAFE',
      `${join(folder, basename(path))} is a link, and keeps its weights in files beside it. ${hint}`,
    )
  }
  for (const location of found.locations) checkExternal(path, location)
}

/** As the onnx package has it: inside the folder, no link, no second name. */
function checkExternal(model: string, location: string): void {
  const file = join(dirname(model), checkRelative(location))
  const entry = lstatSync(file, { throwIfNoEntry: false })
  if (entry === undefined)
    throw new SadaError('MODEL_NOT_FOUND', `${file} does not exist; ${basename(model)} keeps its weights there.`)
  if (!entry.isFile() && !entry.isSymbolicLink()) throw new SadaError('PATH_UNSAFE', `${file} is not a regular file.`)
  // The engine opens weights by itself, so here not even links within the folder can be followed safely.
  if (entry.isSymbolicLink())
    throw new SadaError('PATH_UNSAFE', `${file} is a link; weights have to be a file beside their model.`)
  if (entry.nlink > 1)
    throw new SadaError(
      'PATH_UNSAFE',
      `${file} has another name somewhere else (a hard link); copy it to make it this folder's own.`,
    )
}

type Visit = (field: number, end: number) => void

function readModel(reader: WireReader, found: Found): void {
  reader.message(reader.size, (field, end) => {
    if (field === 7) readGraph(reader, end, found, 0)
    else if (field === 25) readFunction(reader, end, found)
  })
}

function readFunction(reader: WireReader, end: number, found: Found): void {
  reader.message(end, (field, to) => {
    if (field === 7) readNode(reader, to, found, 0)
    else if (field === 10) found.functions.add(reader.string(to))
  })
}

function readGraph(reader: WireReader, end: number, found: Found, depth: number): void {
  if (depth > DEEPEST) throw reader.corrupt(`graphs within graphs, more than ${DEEPEST}`)
  reader.message(end, (field, to) => {
    if (field === 1) readNode(reader, to, found, depth)
    else if (field === 5) readTensor(reader, to, found)
    else if (field === 15) readSparse(reader, to, found)
  })
}

function readNode(reader: WireReader, end: number, found: Found, depth: number): void {
  reader.message(end, (field, to) => {
    if (field === 4) found.hasEngine ||= reader.string(to) === 'EPContext'
    else if (field === 7) found.domains.add(reader.string(to))
    else if (field === 5) readAttribute(reader, to, found, depth)
  })
}

function readAttribute(reader: WireReader, end: number, found: Found, depth: number): void {
  reader.message(end, (field, to) => {
    if (field === 5 || field === 10) readTensor(reader, to, found)
    else if (field === 6 || field === 11) readGraph(reader, to, found, depth + 1)
    else if (field === 22 || field === 23) readSparse(reader, to, found)
  })
}

function readSparse(reader: WireReader, end: number, found: Found): void {
  reader.message(end, (field, to) => {
    if (field === 1 || field === 2) readTensor(reader, to, found)
  })
}

function readTensor(reader: WireReader, end: number, found: Found): void {
  reader.message(end, (field, to) => {
    if (field !== 13) return
    let key = ''
    let value = ''
    reader.message(to, (f, e) => {
      if (f === 1) key = reader.string(e)
      else if (f === 2) value = reader.string(e)
    })
    if (key === 'location') found.locations.add(value)
  })
}

/** Protocol Buffers' wire format, read from a file through a small window. */
class WireReader {
  readonly size: number
  private readonly path: string
  private readonly file: number
  private readonly window = Buffer.alloc(WINDOW)
  private start = 0
  private filled = 0
  private at = 0

  constructor(path: string) {
    this.path = path
    this.file = openSync(path, 'r')
    this.size = fstatSync(this.file).size
    if (this.size > MOST_BYTES) {
      this.close()
      const hint = 'Save it with external data.'
      throw new SadaError('MODEL_TOO_LARGE', `${path} has ${this.size} bytes; a model file has at most ${MOST_BYTES}. ${hint}`)
    }
    if (this.size === 0) {
      this.close()
      throw this.corrupt('it is empty')
    }
  }

  close(): void {
    closeSync(this.file)
  }

  corrupt(what: string): SadaError {
    return new SadaError('MODEL_CORRUPT', `${this.path} is not a sound ONNX file: ${what}.`)
  }

  /** Calls `visit` for every field with a length, positioned at its start; whatever it leaves unread is skipped. */
  message(end: number, visit: Visit): void {
    while (this.at < end) {
      const tag = this.varint()
      const [field, wire] = [Math.floor(tag / 8), tag % 8]
      if (wire === 0) this.varint()
      else if (wire === 1) this.at += 8
      else if (wire === 5) this.at += 4
      else if (wire === 2) {
        const length = this.varint()
        const to = this.at + length
        if (!(to <= end)) throw this.corrupt('a field is longer than what holds it')
        visit(field, to)
        this.at = to
      } else throw this.corrupt(`wire type ${wire}`)
    }
    if (this.at !== end) throw this.corrupt('a field is longer than what holds it')
  }

  string(end: number): string {
    const length = end - this.at
    if (length > LONGEST_NAME) throw this.corrupt(`a name of ${length} bytes`)
    const bytes = Buffer.alloc(length)
    for (let k = 0; k < length; k++) bytes[k] = this.byte()
    return bytes.toString('utf8')
  }

  private varint(): number {
    let value = 0
    for (let k = 0; k < 10; k++) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** (7 * k)
      if (byte < 0x80) return value
    }
    throw this.corrupt('a number without an end')
  }

  private byte(): number {
    if (this.at >= this.size) throw this.corrupt('it ends in the middle of a field')
    if (this.at < this.start || this.at >= this.start + this.filled) {
      this.start = this.at
      this.filled = readSync(this.file, this.window, 0, WINDOW, this.at)
      if (this.filled === 0) throw this.corrupt('it shrank while it was read')
    }
    return this.window[this.at++ - this.start]
  }
}
