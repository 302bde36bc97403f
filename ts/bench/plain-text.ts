/** Characters that a terminal, a table or a reader would act on instead of showing them, and halves of surrogate pairs. */
const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\p{Cs}]/gu

/** Text of others (prompts, names from files) on one line: spaces for line feeds and tabs, `�` for what else would not show. */
export const visible = (text: string): string => text.replace(/\r\n|[\t\n\r]/g, ' ').replace(UNSEEN, '\ufffd')

/** Text in lines of at most so many columns, of words as they are. */
export function inLines(text: string, width: number, joint = '\n'): string {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line !== undefined && line.length + word.length < width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines.join(joint)
}
