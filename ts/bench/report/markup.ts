import { visible } from '../plain-text.ts'

/** Markup that is safe to insert as it is. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toString(): string {
    return this.text
  }
}

type Insert = Markup | string | number | undefined | false | readonly Insert[]

/** HTML or SVG in which everything inserted is escaped, unless it is markup itself; `undefined` and `false` vanish. */
export function html(parts: TemplateStringsArray, ...inserts: readonly Insert[]): Markup {
  return new Markup(parts.reduce((text, part, k) => text + insert(inserts[k - 1]) + part))
}

function insert(value: Insert): string {
  if (value === undefined || value === false) return ''
  if (value instanceof Markup) return value.text
  if (Array.isArray(value)) return value.map(insert).join('')
  return visible(String(value)).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
