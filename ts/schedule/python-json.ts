import type { SadaError } from '../errors.ts'
import { invalidSchedule, SCHEDULER_FILE } from './fields.ts'

/** In UTF-16 units. */
const maxLength = 1 << 20
export const maxDepth = 64
const tokens = {
  space: /[ \t\n\r]*/y,
  number: /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y,
  string: /"[^"\\\u0000-\u001f]*(?:\\["\\/bfnrtu][^"\\\u0000-\u001f]*)*"/y,
  word: /-?[A-Za-z_]\w*/y,
}
const words: Readonly<Record<string, unknown>> = {
  null: null,
  true: true,
  false: false,
  NaN: NaN,
  Infinity: Infinity,
  '-Infinity': -Infinity,
}

/**
 * The text of a `scheduler_config.json`: JSON as Python's `json` module writes it, standard JSON, and `NaN`, `Infinity`, `-Infinity` as values.
 * Throws INVALID_SCHEDULE.
 */
export function parsePythonJson(text: string): unknown {
  if (text.length > maxLength)
    throw invalidSchedule(`${SCHEDULER_FILE} is ${text.length} characters long; at most ${maxLength} are accepted.`)
  return new Parser(text).document()
}

class Parser {
  private readonly text: string
  private at = 0
  private depth = 0

  constructor(text: string) {
    this.text = text
  }

  document(): unknown {
    if (this.text.startsWith('\ufeff')) this.at = 1
    const value = this.value()
    if (this.at < this.text.length) throw this.unexpected('the end of the text')
    return value
  }

  private value(): unknown {
    this.take('space')
    if (++this.depth > maxDepth) throw this.failure(`more than ${maxDepth} levels of nesting`)
    const value = this.bare()
    this.depth--
    this.take('space')
    return value
  }

  private bare(): unknown {
    const next = this.text[this.at]
    if (next === '{') return Object.fromEntries(this.items('}', () => this.member()))
    if (next === '[') return this.items(']', () => this.value())
    if (next === '"') return this.string()
    const number = this.take('number')
    if (number !== undefined) return Number(number)
    const start = this.at
    const word = this.take('word')
    if (word !== undefined && Object.hasOwn(words, word)) return words[word]
    this.at = start
    throw this.unexpected('a value')
  }

  private items<T>(end: string, item: () => T): T[] {
    const items: T[] = []
    this.at++
    this.take('space')
    if (this.skip(end)) return items
    do items.push(item())
    while (this.skip(','))
    if (!this.skip(end)) throw this.unexpected(`"," or "${end}"`)
    return items
  }

  private member(): [string, unknown] {
    this.take('space')
    const key = this.string()
    this.take('space')
    if (!this.skip(':')) throw this.unexpected('":"')
    return [key, this.value()]
  }

  private string(): string {
    const start = this.at
    const quoted = this.take('string')
    if (quoted === undefined) throw this.unexpected('a string')
    try {
      return JSON.parse(quoted) as string
    } catch {
      this.at = start
      throw this.unexpected('a string')
    }
  }

  private skip(character: string): boolean {
    if (this.text[this.at] !== character) return false
    this.at++
    return true
  }

  private take(kind: keyof typeof tokens): string | undefined {
    const pattern = tokens[kind]
    pattern.lastIndex = this.at
    const match = pattern.exec(this.text)
    if (match === null) return undefined
    this.at = pattern.lastIndex
    return match[0]
  }

  private unexpected(expected: string): SadaError {
    const found = this.at < this.text.length ? JSON.stringify(this.text.slice(this.at, this.at + 12)) : 'the end of the text'
    return this.failure(`expected ${expected}, found ${found}`)
  }

  private failure(what: string): SadaError {
    const before = this.text.slice(0, this.at).split('\n')
    const place = `line ${before.length}, column ${before[before.length - 1].length + 1}`
    return invalidSchedule(`${SCHEDULER_FILE} is not valid JSON: ${what} at ${place} (position ${this.at}).`)
  }
}
