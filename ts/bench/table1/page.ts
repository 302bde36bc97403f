import { schedulerName } from '../report/figures.ts'
import { html, Markup } from '../report/markup.ts'
import { dataUri, differencePicture, fittingAmplification, isWide, thingsOf, type Things } from '../report/pictures.ts'
import { stripLegend } from '../report/strip.ts'
import { STYLE } from '../report/style.ts'
import type { StepAction } from '../../sampler/trace.ts'
import { greatest } from '../statistics.ts'
import { rowsLike } from './assemble.ts'
import { sampleOf } from '../../metrics/picture.ts'
import { askedTexts } from './journal.ts'
import type { Pictures } from './pictures.ts'
import { frontOf, speedPlot } from './plot.ts'
import type { TableResult, TableRow, WorstCase } from './result.ts'
import { LETTERS } from './run.ts'
import { pictureStrip, shareStrip } from './strips.ts'
import { numbered, table, type Numbered } from './table.ts'
import {
  EQUAL_NOTE,
  FRONT_NOTE,
  PAIRS_NOTE,
  metricNotes,
  missingNotes,
  places,
  plainHead,
  publishedText,
  similarityNotes,
  similarityText,
  unavailableNotes,
  unreliableNotes,
  warningNotes,
} from './text.ts'

const OWN_STYLE = `
main { max-width: 1200px }
.plots.wide { grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)) }
circle.rival { fill: var(--base) } circle.ours { fill: var(--accent) } circle.swept, circle.few { opacity: .45 }
.line.front { stroke: var(--good); stroke-width: 1.4 } .line.plain { stroke: var(--plain); stroke-width: 1; opacity: .6 }
.chart .number { font-size: 9.5px } .chart .number.ours { fill: var(--accent); font-weight: 650; font-size: 11px }
.strips { display: grid; grid-template-columns: fit-content(200px) 1fr; gap: 5px 14px; align-items: center; font-size: 13px }
.strips span, .badge { overflow-wrap: anywhere; white-space: normal }
.strips .strip { height: 18px }
.pictures.three { grid-template-columns: repeat(3, 128px) }
td.words, th.words { text-align: left }
nav.contents { display: grid; grid-template-columns: max-content 1fr; gap: 2px 20px } nav.contents a { display: inline-block; margin-right: 16px }
.key.ring { height: 9px; width: 9px; border-radius: 9px; border: 2px solid var(--plain) }
ul.notes { font-size: 14px; color: var(--soft); max-width: 90ch; padding-left: 20px }
@media (max-width: 520px) { .plots.wide .chart text { font-size: 15px } .pictures.three { grid-template-columns: repeat(3, 1fr) } nav.contents { grid-template-columns: 1fr } }
`
/** Worst pictures shown of our own default, and of each other. */
const SHOWN = { ours: 3, others: 1 } as const

/** The table as one HTML file that needs nothing else. */
export async function tablePage(result: TableResult, pictures: Pictures): Promise<string> {
  const { model, steps, picture, created, load, sessions } = result
  const all = places(result)
  const sections = await Promise.all(all.map((place, k) => section(result, place, `place-${k + 1}`, pictures)))
  const cores = greatest(sessions.map((each) => each.cores))
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>sada-bench table1: ${model}</title>
        <style>
          ${new Markup(STYLE + OWN_STYLE)}
        </style>
      </head>
      <body>
        <main>
          <header>
            <p class="eyebrow">sada-bench table1, ${created.slice(0, 16).replace('T', ' ')} UTC</p>
            <h1>Every policy, one sampler, the same noise</h1>
            <p class="lead">
              The model “${model}”, ${[`${steps} steps`, ...askedTexts(picture)].join(', ')}. Each row is compared with the run
              that computes every step, and with the plain run of fewer steps that costs as much.
            </p>
            ${contents(all)}
            ${
              load.p50 > cores / 2 &&
              html`<p class="warning">
                Other work was running (load ${load.p50.toFixed(1)} in the median, ${load.max.toFixed(1)} at most, on ${cores}
                cores). Wall times of rows marked “†” are not to be relied on; network runs, FLOPs and closeness are not affected.
              </p>`
            }
          </header>
          ${sections} ${notes(result)}
        </main>
      </body>
    </html> `
  return page.text
}

type Place = Pick<TableRow, 'scheduler' | 'guidance' | 'kind'>
const placeName = ({ scheduler, guidance, kind }: Place): string => `${schedulerName(scheduler)}, guidance ${guidance}, ${kind}`

/** Links to the sections, a line for each scheduler. */
function contents(all: readonly Place[]): Markup {
  const links = all.map((place, k) => ({ ...place, id: `place-${k + 1}` }))
  const schedulers = [...new Set(all.map(({ scheduler }) => scheduler))]
  return html`<nav class="contents">
    ${schedulers.map(
      (scheduler) =>
        html`<span>${schedulerName(scheduler)}</span>
          <span>
            ${links
              .filter((each) => each.scheduler === scheduler)
              .map(({ id, guidance, kind }) => html`<a href="#${id}">guidance ${guidance}, ${kind}</a>`)}
          </span>`,
    )}
    <span></span><span><a href="#notes">Notes</a></span>
  </nav>`
}

async function section(result: TableResult, place: Place, id: string, pictures: Pictures): Promise<Markup> {
  const { all, shown, swept } = numbered(rowsLike(place, result.rows))
  const plain = rowsLike(place, result.plain)
  const letters = new Set(all.flatMap(({ row }) => row.decisions.flatMap((step) => Object.keys(step))))
  const present = new Set((Object.keys(LETTERS) as StepAction[]).filter((action) => letters.has(LETTERS[action])))
  // Plain runs are timed where they were made; beside wall times of a run of their own they would stand wrong.
  const timed = all.every(({ row }) => row.timing.source === 'runs') ? plain : []
  return html`<section id="${id}">
    <h2>${placeName(place)} prompts</h2>
    <div class="plots wide">
      ${plot(
        'Closeness against wall time',
        legend(frontOf(all, 'wall').length > 0, timed.length > 0),
        speedPlot(all, timed, {
          title: 'wall speed-up',
          front: 'wall',
          of: (row) => row.speedup.p50,
          ofPlain: (row) => row.speedup.p50,
        }),
      )}
      ${plot(
        'Closeness against network runs',
        html`steps over network runs; a partial or pruned pass counts as a whole one<br />
          ${legend(frontOf(all, 'nfe').length > 0, plain.length > 0)}`,
        speedPlot(all, plain, {
          title: 'steps / network runs',
          front: 'nfe',
          of: (row) => row.nfe_ratio,
          ofPlain: (row) => result.steps / row.steps,
        }),
      )}
    </div>
    ${table(result, shown)} ${further(result, swept)}
    <h3>What each step did</h3>
    ${stripLegend(present)}
    <div class="strips">${shown.map(({ row }) => html`<span>${row.method}</span>${shareStrip(row)}`)}</div>
    ${await worstOnes(shown, pictures, thingsOf(result.note))}
  </section>`
}

/** What a plot's marks mean, of those that it has. */
const legend = (hasFront: boolean, hasPlain: boolean): Markup =>
  html`<i class="key" style="background:var(--accent)"></i>sada <i class="key" style="background:var(--base)"></i>others, numbered
    as below ${hasPlain && html`<i class="key ring"></i>plain, fewer steps (faint: of fewer pictures)`}
    ${hasFront && html`<i class="key" style="background:var(--good)"></i>Pareto front of the policies`}`

/** Further settings of a sweep, out of the way. */
const further = (result: TableResult, swept: readonly Numbered[]): Markup =>
  html`${
    swept.length > 0 &&
    html`<details>
      <summary>${swept.length} further setting${swept.length > 1 && 's'}, faint in the plots</summary>
      ${table(result, swept)}
    </details>`
  }`

const plot = (title: string, caption: Markup, drawing: Markup): Markup =>
  html`<figure class="plot">
    <figcaption><b>${title}</b>${caption}</figcaption>
    ${drawing}
  </figure>`

/** Of our own default several, and of each other one, folded; of others alone, not. */
async function worstOnes(shown: readonly Numbered[], pictures: Pictures, things: Things): Promise<Markup> {
  const ours = shown.find(({ row }) => row.method === 'sada')
  const others = shown.filter((each) => each !== ours)
  const cards = await Promise.all(others.map(({ row }) => worstCards(row, SHOWN.others, pictures, things)))
  if (ours === undefined)
    return html`<h3>The worst ${things.one} of each policy</h3>
      <div class="samples">${cards}</div>`
  return html`<h3>The worst ${things.many}</h3>
    <div class="samples">${await worstCards(ours.row, SHOWN.ours, pictures, things)}</div>
    ${
      others.length > 0 &&
      html`<details>
        <summary>The worst ${things.one} of each other policy</summary>
        <div class="samples">${cards}</div>
      </details>`
    }`
}

async function worstCards(row: TableRow, most: number, pictures: Pictures, { one }: Things): Promise<Markup> {
  const cards = await Promise.all(row.worst.slice(0, most).map((each) => card(row, each, pictures)))
  return cards.length > 0 ? html`${cards}` : html`<p class="soft">${row.method}: every ${one} is equal to the full run's.</p>`
}

async function card(row: TableRow, each: WorstCase, pictures: Pictures): Promise<Markup> {
  const steps = row.decisions.length
  const named = { scheduler: row.scheduler, guidance: row.guidance, kind: row.kind, index: each.index, steps }
  const [full, fast] = [await pictures.find({ ...named, method: 'none' }), await pictures.find({ ...named, method: row.method })]
  let images: Markup | undefined
  if (full !== undefined && fast !== undefined) {
    const [a, b] = [sampleOf(full), sampleOf(fast)]
    const amplification = fittingAmplification(a, b)
    const shown = [
      { caption: 'every step', source: await dataUri(full) },
      { caption: row.method, source: await dataUri(fast) },
      {
        caption: `difference × ${amplification}`,
        source: await differencePicture(a, b, [3, full.height, full.width], amplification),
      },
    ]
    images = html`<div class="pictures three${isWide(full.width, full.height) && ' wide'}">
      ${shown.map(
        ({ caption, source }) =>
          html`<figure>
            <img src="${source}" width="${full.width}" height="${full.height}" alt="${caption}: ${each.prompt}" />
            <figcaption>${caption}</figcaption>
          </figure>`,
      )}
    </div>`
  }
  return html`<article class="sample">
    ${images ?? html`<p class="soft">The pictures were not kept.</p>`}
    <div class="about">
      <h4>${each.prompt} <span class="badge">${row.method}, seed ${each.seed}</span></h4>
      <dl>
        <dt>PSNR</dt>
        <dd>${each.psnr_db.toFixed(1)} dB</dd>
        ${
          each.plain_psnr_db !== null &&
          html`<dt>plain, same cost</dt>
            <dd>${each.plain_psnr_db.toFixed(1)} dB</dd>`
        }
        ${
          each.ssim !== undefined &&
          html`<dt>SSIM</dt>
            <dd>${similarityText({ ssim: { mean: each.ssim, worst: each.ssim }, samples: 1, identical: 0 })}</dd>`
        }
        <dt>network runs</dt>
        <dd>${each.nfe} of ${steps}</dd>
      </dl>
    </div>
    <div class="across">${pictureStrip(each)}</div>
  </article>`
}

function notes(result: TableResult): Markup {
  const { note, rows } = result
  const lines = [
    ...(note === undefined ? [] : [note]),
    'PSNR in dB on [−1, 1] samples in float64, of each picture and then averaged; “worst 10 %” is the mean over the worst tenth of all pictures, rounded up.',
    EQUAL_NOTE,
    PAIRS_NOTE,
    ...unreliableNotes(result),
    ...similarityNotes(result),
    `“${plainHead(result)}”: the unaccelerated run of as many steps as fit, rounded down; in brackets what the row is above it in dB, mean and worst tenth.`,
    `★: no other row of its table is both faster in wall time and closer on average. ${FRONT_NOTE} n: pictures.`,
    ...(rows.some(publishedText)
      ? ["“published”: the authors' figures on their own models, prompts and machines; nothing here reproduces them."]
      : []),
    ...new Set(rows.filter(publishedText).map((row) => `${row.policy}: ${publishedText(row)}.`)),
    rows.some(({ timing }) => timing.source === 'runs')
      ? "Wall times come from the runs themselves, each beside its prompt's baseline in the same process, where no run of their own was made."
      : 'Wall times come from runs of their own, each method directly after its baseline.',
    ...metricNotes(result),
    ...unavailableNotes(result),
    ...warningNotes(result),
    ...missingNotes(result),
    ...madeBy(result),
  ]
  return html`<section id="notes">
    <h2>Notes</h2>
    <ul class="notes">
      ${lines.map((text) => html`<li>${text}</li>`)}
    </ul>
  </section>`
}

/** A line for each machine and version, with its commits. */
function madeBy({ sessions, device }: TableResult): string[] {
  const commits = new Map<string, string[]>()
  for (const { cpu, cores, sada, commit } of sessions) {
    const made = `Made on ${cpu}, ${cores} cores${device === undefined ? '' : `, and ${device}`}, by sada ${sada}`
    commits.set(made, [...(commits.get(made) ?? []), ...(commit === null ? [] : [commit.slice(0, 7)])])
  }
  return [...commits].map(([made, all]) =>
    all.length === 0 ? `${made}.` : `${made}, commit${all.length > 1 ? 's' : ''} ${[...new Set(all)].join(', ')}.`,
  )
}
