// How far chance reaches in docs/table1.md, and the worst tenths in which a rival is ahead there on pictures that no table has.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import decibelsOf from '../dist/bench/decibels.js'
import statistics from '../dist/bench/statistics.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const worstTenths = JSON.parse(readFileSync(`${root}bench/results/worst-tenths.json`, 'utf8'))

export const RESAMPLES = 2000
export const decibels = (value) => value.toFixed(1)
export const signed = (value) => `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(1)}`
export const placeOf = ({ scheduler, guidance, kind }) => `${scheduler}, guidance ${guidance}, ${kind} prompts`

/** Whole numbers below n, the same every time: a linear congruential generator with the constants of Numerical Recipes. */
function drawing(seed) {
  let state = seed
  return (n) => Math.floor(((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32) * n)
}

/** 5th and 95th percentile of how far they are ahead in a statistic over pictures drawn again with replacement, the same for both (paired bootstrap). */
function chance(pairs, by) {
  const draw = drawing(1)
  const leads = Array.from({ length: RESAMPLES }, () => {
    const drawn = pairs.map(() => pairs[draw(pairs.length)])
    const [theirs, us] = [0, 1].map((k) => decibelsOf.summariseDecibels(drawn.map((pair) => pair[k]))[by])
    return theirs - us
  })
  return [statistics.quantile(leads, 0.05), statistics.quantile(leads, 0.95)]
}

/** That range in a table. */
export const ranged = (pairs, by) => chance(pairs, by).map(signed).join(' to ')

/** Seeds that had a part in choosing a default of `sada` at guidance 3 (docs/ablations.md). */
const TUNED_SEEDS = [3000, 5000]

/** Beside each policy there may be plain steps of its cost. */
const isOfPolicy = ({ label }) => !label.startsWith('plain')

/** The file has what `sada` was until 2026-11-28 at guidance 7 too, under its options. */
const isOfDefaults = ({ outcomes }) => outcomes[0].label === '"sada"'

/** Rivals that are ahead in a worst tenth above, on pictures that no table has. */
export function onOtherPictures() {
  const named = (policy) =>
    typeof policy === 'string' ? `\`${policy}\`` : `\`${policy.name}\`, calibrated, τ ${policy.threshold}`
  const head = ['table', 'pictures', '`sada`', 'runs', 'rival', '', 'runs', 'rival ahead in the worst tenth']
  const placeOfCase = ({ prompts, ...setting }) => placeOf({ ...setting, kind: prompts })
  const atDefaults = worstTenths.cases.filter(isOfDefaults)
  const groups = [...new Set(atDefaults.map(placeOfCase))].flatMap((place) => {
    const cases = atDefaults.filter((each) => placeOfCase(each) === place)
    const untuned = cases.filter(({ seed }) => !TUNED_SEEDS.includes(seed))
    return [
      [place, cases],
      [`… those of ${untuned.length} of ${cases.length} seeds`, untuned],
    ]
  })
  const lines = groups.map(([place, cases]) => {
    const [ours, theirs] = [0, 1].map((k) => cases.map(({ outcomes }) => outcomes.filter(isOfPolicy)[k]))
    const cells = (outcomes) => {
      const { mean, worst_decile: worst, worst: last } = decibelsOf.summariseDecibels(outcomes.flatMap(({ psnr }) => psnr))
      return [[mean, worst, last].map(decibels).join(' / '), decibels(statistics.mean(outcomes.map(({ runs: count }) => count)))]
    }
    const pairs = theirs.flatMap(({ psnr }, k) => psnr.map((value, i) => [value, ours[k].psnr[i]]))
    const [them, us] = [0, 1].map((k) => decibelsOf.summariseDecibels(pairs.map((pair) => pair[k])).worst_decile)
    const lead = `${signed(them - us)} (90 %: ${ranged(pairs, 'worst_decile')})`
    return [place, pairs.length, ...cells(ours), named(JSON.parse(theirs[0].label)), ...cells(theirs), lead]
  })
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
