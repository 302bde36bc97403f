/** As many as are read at a glance, and the bytes that any file system has for a name, less what is added to it. */
const LONGEST = 60
const MOST_BYTES = 120
const MOST_NAMES = 10_000

/** File names after a prompt, each to be tried where those before it are taken: `a-teal-robot.png`, `a-teal-robot-2.png`, … */
export function* resultNames(prompt: string, extension: string): Generator<string> {
  // Names of devices on Windows, whatever their ending.
  const stem = stemOf(prompt).replace(/^(con|prn|aux|nul|com\d|lpt\d)$/, '$1-picture') || 'sada'
  yield `${stem}${extension}`
  for (let k = 2; k <= MOST_NAMES; k++) yield `${stem}-${k}${extension}`
}

/** Letters and digits of any script, with hyphens in between. */
function stemOf(prompt: string): string {
  // One spelling of what looks the same; without what does not show, some of which counts as letters.
  const plain = prompt
    .normalize('NFKC')
    .replace(/\p{Default_Ignorable_Code_Point}/gu, '')
    .toLowerCase()
    .normalize('NFC')
  const words = plain.match(WORD) ?? []
  return shortened(words.join('-')).replace(/-$/, '')
}

/** A mark is part of the letter before it, and without one of nothing. */
const WORD = /(?:[\p{L}\p{N}]\p{M}*)+/gu

/** Cut between letters, not within one of several code points. */
function shortened(text: string): string {
  let [kept, bytes] = ['', 0]
  for (const letter of (text.match(LETTERS) ?? []).slice(0, LONGEST)) {
    bytes += Buffer.byteLength(letter)
    if (bytes > MOST_BYTES) break
    kept += letter
  }
  return kept
}

const LETTERS = /\P{M}\p{M}*/gu
