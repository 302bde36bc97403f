// Writes docs/table1.md from bench/results/table1.json, table1.jsonl where policies are compared picture by picture, and worst-tenths.json, the
// same on other pictures. After npm run build: `node scripts/table1-doc.mjs`. It picks no favourites: where another policy, or the plain run
// with fewer steps, is better than `sada`, it says so.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import decibelsOf from '../dist/bench/decibels.js'
import journal from '../dist/bench/table1/journal.js'
import text from '../dist/bench/table1/text.js'
import statistics from '../dist/bench/statistics.js'
import { decibels, onOtherPictures, placeOf, ranged, RESAMPLES, signed } from './worst-tenths.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const table = JSON.parse(readFileSync(`${root}bench/results/table1.json`, 'utf8'))
const { runs } = await journal.readJournals([`${root}bench/results/table1.jsonl`])
const targets = JSON.parse(readFileSync(`${root}bench/results/targets.json`, 'utf8'))

const OURS = 'sada'
const MOST_NAMED = 3
const busy = table.load.p50 > Math.max(...table.sessions.map(({ cores }) => cores)) / 2
const isApart = ({ timing }) => timing.source === 'separate'
const apart = table.rows.filter(isApart)
const isTimed = apart.length === table.rows.length
// Where wall times were measured on a busy machine, operations of the network say what a row saves.
const speed = busy && !isTimed ? (row) => row.flops.ratio : (row) => row.speedup.p50
const unit = busy && !isTimed ? 'FLOPs ÷' : 'wall ×'

// Marked as the page marks it: what the busy machine gave.
const wall = text.wallText

const defaults = table.rows.filter(({ is_default: isDefault }) => isDefault)
// A column that some rows leave empty compares nothing.
const similar = defaults.every(({ ssim }) => ssim !== undefined) ? text.similarityHead({ rows: defaults }) : []

/** What a calibration measured is a list of numbers, one for each step. */
const nameOf = ({ method }) => method.replaceAll(/=[^,=]*x[^,=]*/g, '=…')
const isCalibrated = ({ method }) => nameOf({ method }) !== method

const most = statistics.greatest(table.rows.map(({ samples }) => samples))
const places = [...new Set(table.rows.map(placeOf))].sort()
const rowsOf = (place) => table.rows.filter((row) => placeOf(row) === place)
const listed = (names) => (names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`)

function tableOf(place) {
  const rows = rowsOf(place)
    .filter(({ is_default: isDefault }) => isDefault)
    .sort((a, b) => speed(a) - speed(b))
  const lines = rows.map((row) => {
    const { plain, psnr_db: psnr } = row
    const rival =
      plain === null
        ? ''
        : `${plain.steps}: ${text.decibelTexts(plain.psnr_db)[0]} (${signed(plain.gain_db.mean)})${plain.samples < row.samples ? `, ${plain.samples} of ${row.samples}` : ''}`
    const name = row.method === OURS ? `**${row.method}**` : row.method
    const figures = [row.nfe.mean.toFixed(1), row.flops.ratio.toFixed(2), wall(row), row.timing.pairs, ...text.decibelTexts(psnr)]
    return `| ${[name, row.samples, ...figures, row.identical, ...similar.map(() => text.similarityText(row)), rival].join(' | ')} |`
  })
  const head = [
    'policy',
    'pictures',
    'runs',
    'FLOPs ÷',
    'wall ×',
    'pairs',
    'PSNR',
    'worst tenth',
    'worst',
    'equal',
    ...similar,
    'plain steps: PSNR (gain)',
  ]
  return [
    `| ${head.join(' | ')} |`,
    `|---|${head
      .slice(2)
      .map(() => '--:|')
      .join('')}---|`,
    ...lines,
  ].join('\n')
}

/** PSNR of a row, of so many steps, and of ours over the pictures that both made: a row of fewer has fewer chances of a bad one. */
function onTheSame(row, ours, steps = table.steps) {
  const pictures = ({ scheduler, guidance, kind, method }, count) =>
    [...runs.values()].filter(
      (run) =>
        run.scheduler === scheduler &&
        run.guidance === guidance &&
        run.kind === kind &&
        run.method === method &&
        run.steps === count,
    )
  const own = new Map(pictures(ours, table.steps).map(({ index, psnr_db: psnr }) => [index, psnr]))
  const pairs = pictures(row, steps)
    .map(({ index, psnr_db: psnr }) => [psnr, own.get(index)])
    .filter(([, us]) => us !== undefined)
  if (pairs.length === 0) return undefined
  const [theirs, us] = [0, 1].map((k) => decibelsOf.summariseDecibels(pairs.map((pair) => pair[k])))
  return { row, theirs, us, pairs }
}

/** Where `sada` is not the best: what is both faster and closer, what is closer in the worst tenth, and what plain steps do better. */
function lossesOf(place) {
  const rows = rowsOf(place)
  const ours = rows.find(({ method }) => method === OURS)
  if (ours === undefined) return []
  // `auto` runs the same ledger.
  const rivals = rows.filter(({ policy }) => policy !== OURS && policy !== 'auto')
  const faster = rivals.filter((row) => speed(row) >= speed(ours)).flatMap((row) => onTheSame(row, ours) ?? [])
  const ahead = (by) => faster.filter(({ theirs, us }) => theirs[by] >= us[by]).sort((a, b) => b.theirs[by] - a.theirs[by])
  const shown = ({ mean, worst_decile: worst }) => `${decibels(mean)} dB, worst tenth ${decibels(worst)}`
  // Of many the closest.
  const named = (found, by) => {
    const names = found.slice(0, MOST_NAMED).map(({ row, theirs, us, pairs }) => {
      const fewer = pairs.length < ours.samples ? `; \`sada\` on those ${pairs.length} pictures: ${shown(us)}` : ''
      return `\`${nameOf(row)}\` (${speed(row).toFixed(2)}, ${shown(theirs)}${fewer}; ${signed(theirs[by] - us[by])}, 90 %: ${ranged(pairs, by)})`
    })
    return (found.length > MOST_NAMED ? `${found.length} of ${rivals.length} settings, the closest of them ` : '') + listed(names)
  }
  const [better, safer] = [ahead('mean'), ahead('worst_decile')]
  const fewerSteps = ours.plain && onTheSame({ ...ours, method: 'none' }, ours, ours.plain.steps)
  const plainAhead = (by, where) => {
    if (!fewerSteps) return []
    const lead = fewerSteps.theirs[by] - fewerSteps.us[by]
    if (lead <= 0) return []
    return [`${ours.plain.steps} plain steps are ${decibels(lead)} dB closer ${where} (90 %: ${ranged(fewerSteps.pairs, by)})`]
  }
  const self = `${speed(ours).toFixed(2)}, ${shown(ours.psnr_db)}`
  return [
    ...(better.length > 0 ? [`at least as fast and closer on average: ${named(better, 'mean')}`] : []),
    ...(safer.length > 0 ? [`at least as fast and closer in the worst tenth: ${named(safer, 'worst_decile')}`] : []),
    ...plainAhead('mean', 'on average'),
    ...plainAhead('worst_decile', 'in the worst tenth'),
  ].map((loss) => `- ${place} (\`sada\`: ${self}): ${loss}.`)
}

/** Every policy whose plain run of the same cost is closer: it gains nothing there. */
function pointless() {
  const counts = new Map()
  for (const { method, is_default: isDefault, plain } of table.rows) {
    if (!isDefault || !plain) continue
    const [lost, all] = counts.get(method) ?? [0, 0]
    counts.set(method, [lost + (plain.gain_db.mean < 0 ? 1 : 0), all + 1])
  }
  return [...counts].filter(([, [lost]]) => lost > 0).map(([method, [lost, all]]) => `\`${method}\` (${lost} of ${all} tables)`)
}

function plainly() {
  const compared = table.rows.filter(({ plain }) => plain)
  if (compared.length === 0) return 'Not measured yet: no plain run stands beside a row.'
  const some =
    compared.length < table.rows.length ? ` (${compared.length} of ${table.rows.length} rows have a plain run beside them)` : ''
  if (lost.length === 0) return `Nowhere: every policy is closer on average than the plain run of the same cost${some}.`
  return `A policy that is further from the full run than plain steps of the same cost gains nothing. So it is, on average, for ${listed(lost)}${some}.`
}

/** MagCache and TeaCache with what `sada calibrate` measured on this model, beside `sada` on the same pictures. */
function calibratedTable() {
  const shown = ({ mean, worst_decile: tenth }) => `${decibels(mean)} / ${decibels(tenth)}`
  const cell = ({ row, theirs }) => `τ ${row.options.threshold}, ${speed(row).toFixed(2)}: ${shown(theirs)}`
  const lines = places.flatMap((place) => {
    const rows = rowsOf(place)
    const ours = rows.find(({ method }) => method === OURS)
    const of = (policy) => rows.filter((row) => row.policy === policy && isCalibrated(row)).map((row) => onTheSame(row, ours))
    const asFast = of('magcache').filter(({ row }) => speed(row) >= speed(ours))
    const tea = of('teacache')
    if (asFast.length === 0 || tea.length === 0) return []
    const closest = asFast.reduce((best, each) => (each.theirs.mean > best.theirs.mean ? each : best))
    const fastest = tea.reduce((most, each) => (speed(each.row) > speed(most.row) ? each : most))
    const own = `${speed(ours).toFixed(2)}: ${shown(closest.us)}`
    return [`| ${[place, closest.pairs.length, own, cell(closest), cell(fastest)].join(' | ')} |`]
  })
  const head = ['', 'pictures', '`sada`', '`magcache`, the closest as fast', '`teacache`, the fastest']
  return [`| ${head.join(' | ')} |`, '|---|--:|---|---|---|', ...lines].join('\n')
}

/** How close `auto` comes to what it is asked for. */
function targetTable() {
  const shown = (target, value) => (target.startsWith('psnrDb') ? `${value.toFixed(1)} dB` : `${value.toFixed(2)} ×`)
  const lines = targets.rows.map(({ guidance, scheduler, target, mean, p05, p95, median_absolute_error: error, nfe }) => {
    const figures = [shown(target, mean), `${shown(target, p05)} – ${shown(target, p95)}`, shown(target, error), nfe.toFixed(1)]
    return `| ${[guidance, scheduler, `\`${target}\``, ...figures].join(' | ')} |`
  })
  const head = '| guidance | scheduler | target | mean | 5–95 % | median of how far off | network runs |'
  return [head, '|--:|---|---|--:|--:|--:|--:|', ...lines].join('\n')
}

function timesApart() {
  if (isTimed) return ' The wall times are of a run of their own.'
  const compared = 'below, "as fast" compares operations of the network.'
  if (apart.length === 0) return ` **The wall times are not to be relied on**: ${compared}`
  const loads = apart.map(({ timing }) => timing.load)
  const pairs = apart.map(({ timing }) => timing.pairs).reduce((least, each) => Math.min(least, each))
  return ` **Wall times marked † are not to be relied on**: ${compared} The others are of a run of their own on a quiet machine
(load ${statistics.quantile(loads, 0.5).toFixed(1)}), each method directly after its baseline, and medians of few pairs: ${pairs} or more a row.`
}

/** Commands for the settings that were run on as many pictures as the defaults. */
function sweptAgain() {
  const again = table.rows.filter(({ is_default: isDefault, samples }) => !isDefault && samples === most)
  return [...new Set(again.map(placeOf))].sort().map((place) => {
    const rows = again.filter((row) => placeOf(row) === place)
    const [{ scheduler, guidance, kind }] = rows
    const policies = rows.map(nameOf).join(',')
    return `npx sada-bench table1 --samples ${most} --kind ${kind} --scheduler ${scheduler} --guidance ${guidance} --policy ${policies} --plain-by flops --resume runs.jsonl`
  })
}

/** The command for policies that were added later: the first two were made before there were any, and would run them too. */
function fewerPictures() {
  const later = defaults.filter(({ samples }) => samples < most)
  if (later.length === 0) return []
  const names = [...new Set(later.map(({ method }) => method))].join(',')
  return [
    `npx sada-bench table1 --samples ${2 * later[0].samples} --guidance 1,3,7 --policy ${names} --plain-by flops --resume runs.jsonl      # the first two commands ran before there were these`,
  ]
}

const losses = places.flatMap(lossesOf)
const lost = pointless()
const fewest = Math.min(...table.rows.map(({ samples }) => samples))
const unavailable = Object.entries(table.metrics).filter(([, { unavailable: why }]) => why !== undefined)
const atDefaults = [...new Set(defaults.map(({ method }) => method))].filter(
  (method) => !table.rows.some((row) => !row.is_default && nameOf(row).split(':')[0] === method.split(':')[0]),
)
const swept = [...new Set(table.rows.filter(({ is_default: isDefault }) => !isDefault).map(({ guidance }) => guidance))].sort()

const page = `# Table 1: every policy, one sampler, the same noise

Written by \`node scripts/table1-doc.mjs\` from [bench/results/table1.json](../bench/results/table1.json), which \`sada-bench table1\` made on
${table.created.slice(0, 10)}: the bundled model "${table.model}", ${table.steps} steps, ${fewest === most ? most : `${fewest} to ${most}`} pictures a row. PSNR in dB against the run of every step from the same noise,
of each picture and then averaged; "worst tenth": the mean over the worst tenth of the pictures, rounded up. ${text.EQUAL_NOTE} "plain steps": the
unaccelerated run with as many steps as ${table.plain_by === 'time' ? "fit into the row's time" : "the row's operations allow"}, rounded down, and in brackets what the row is above it.

${busy ? `The machine was busy while this was measured (load ${table.load.p50.toFixed(1)} in the median).${timesApart()}\n` : ''}
## Where \`sada\` loses

${losses.length > 0 ? `Speed in brackets: ${unit}. Behind it how far they are ahead, and in what range that is in 90 % of ${RESAMPLES} draws of as many of these pictures: where it has zero inside, chance may have chosen.\n\n${losses.join('\n')}` : `At its default \`sada\` is behind no row that is at least as fast (${unit}), on average or in the worst tenth, and behind no plain run.`}

On 64 pictures chance decides such a lead. So leads at guidance 3 were looked at again on pictures that no table has, 72 prompts under nine seeds each, two of which had a part in choosing \`sada\`'s defaults; PSNR mean / worst tenth /
worst (\`bench/fidelity.ts --prompts 72 --seed 1000,2000,…\`; every picture is in [bench/results/worst-tenths.json](../bench/results/worst-tenths.json)):

${onOtherPictures()}

${swept.length > 0 ? `At guidance ${listed(swept)} every policy${atDefaults.length > 0 ? ` but ${listed(atDefaults.map((name) => `\`${name}\``))}` : ''} was run at five further settings too, on a few pictures; one that was ahead of \`sada\` there was then run on all ${most} of that table. They are in the JSON.` : 'Every policy was run at its published default alone: other settings may do better. `--sweep` runs five more of each.'}
It is one small model of 64×64 pictures. Figures on it say little of how the same policies do on large ones, for which most were published.

## Where fewer plain steps do better

${plainly()}

## Figures

${places.map((place) => `### ${place}\n\n${tableOf(place)}\n`).join('\n')}
## MagCache and TeaCache, calibrated

Both know a model by numbers that are measured beforehand. Above they have those that they come with: FLUX's ratios, and no polynomial. Here they have what \`sada calibrate\` measures on this model, for each scheduler and
guidance apart (16 pictures, seeds that no table has), at five and three thresholds τ; ${unit}, then PSNR mean / worst tenth, of \`sada\` on MagCache's pictures.

${calibratedTable()}

## How close \`auto\` comes to its targets

${targets.prompts} pictures for each, full and short prompts by turns, of \`bench/targets.ts\` ([bench/results/targets.json](../bench/results/targets.json)); speed-ups in wall time.

${targetTable()}

## What is missing

${unavailable.length > 0 ? unavailable.map(([name, { unavailable: why }]) => `- ${name}: ${why}`).join('\n') : '- Nothing: every metric had its network.'}
${[...new Set(table.missing.map(({ method, scheduler, reason }) => `- ${method} with ${scheduler}: ${reason}`))].join('\n')}

## To make it again

\`\`\`sh
npx sada-bench table1 --samples ${2 * most} --guidance 1,3,7 --plain-by flops --resume runs.jsonl      # hours; goes on where it was ended
npx sada-bench table1 --samples 12 --guidance 1,3,7 --sweep --plain-by flops --resume runs.jsonl
npx sada calibrate magcache --scheduler dpm++ --guidance 3 --samples 16 --seed 50000      # and teacache, each scheduler and guidance: prints what --policy takes
npx sada-bench table1 --samples 12 --scheduler dpm++ --guidance 3 --policy magcache:ratios=…,keep=-1,threshold=0.06 --plain-by flops --resume runs.jsonl
${sweptAgain().join('\n')}
${fewerPictures().join('\n')}
npx sada-bench table1 --samples 8 --guidance 1,3,7 --timing-only --resume timing.jsonl      # wall times, on a machine that does nothing else
npx sada-bench table1 --report-only --plain-by flops --resume runs.jsonl --timing timing.jsonl --json bench/results/table1.json --html table1.html
cp runs.jsonl bench/results/table1.jsonl
node scripts/table1-doc.mjs
\`\`\`

To make the report again from the recorded runs, name \`bench/results/table1.jsonl\` and \`bench/results/table1-timing.jsonl\` instead.
On several machines: \`--slice 1/4\` … \`--slice 4/4\`, a \`--resume\` file each, and at the end all of them behind one \`--resume\`, separated by commas.
`
writeFileSync(`${root}docs/table1.md`, page.replace(/\n{3,}/g, '\n\n').trimEnd() + '\n')
