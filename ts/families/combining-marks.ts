import type { JsonObject } from './folder.ts'

/** Runs of combining marks that are longer than any writing has: Unicode's own limit for streams is 30. */
const LONG_RUN = /\p{M}{64,}/gu

/**
 * A text whose long runs of combining marks are in Unicode's canonical order. Normalized it is the same, and in a moment: JavaScript's own
 * ordering takes time that grows with the square of a run, 10 s for 100 000 marks.
 */
export const inCanonicalOrder = (text: string): string => text.replace(LONG_RUN, ordered)

/** Whether the first thing that a definition's normalizer does is one of Unicode's normalizations. */
export function isNormalizing({ normalizer }: JsonObject): boolean {
  const { type, normalizers } = (normalizer ?? {}) as { type?: string; normalizers?: { type?: string }[] }
  const first = type === 'Sequence' ? normalizers?.[0]?.type : type
  return /^NFK?[CD]$/.test(first ?? '')
}

function ordered(run: string): string {
  const marks = Array.from(run).flatMap((mark) => Array.from(mark.normalize('NFD')))
  const ranks = ranksOf(new Set(marks))
  let result = ''
  let moving: string[] = []
  const settle = (): void => {
    result += moving.sort((a, b) => ranks.get(a)! - ranks.get(b)!).join('')
    moving = []
  }
  for (const mark of marks) {
    if (ranks.has(mark)) moving.push(mark)
    else {
      settle()
      result += mark
    }
  }
  settle()
  return result
}

/** Marks of the first and the last class there are: each mark that moves goes behind the one or before the other. */
const [FIRST, LAST] = ['\u0334', '\u0345']

/** Places of marks in the canonical order, the same where two stay as they are written. Those that no other passes have none. */
function ranksOf(marks: ReadonlySet<string>): ReadonlyMap<string, number> {
  const moving = [...marks].filter((mark) => areSwapped(mark, FIRST) || areSwapped(LAST, mark))
  const inOrder = moving.sort((a, b) => (areSwapped(a, b) ? 1 : areSwapped(b, a) ? -1 : 0))
  const ranks = new Map<string, number>()
  for (const [k, mark] of inOrder.entries()) {
    const isNew = k === 0 || areSwapped(mark, inOrder[k - 1])
    ranks.set(mark, isNew ? k : ranks.get(inOrder[k - 1])!)
  }
  return ranks
}

const areSwapped = (a: string, b: string): boolean => a !== b && (a + b).normalize('NFD') === b + a
