import { EQUAL_DB, meanDecibels } from '../decibels.ts'
import type { BenchCase } from '../result.ts'
import { caseName, incomparable, timeOff } from '../table.ts'
import { dB, runs, schedulerName, times } from './figures.ts'
import { html, type Markup } from './markup.ts'

/** The figures that matter most, one tile for each case. */
export function headline(cases: readonly BenchCase[]): Markup {
  return html`<div class="tiles">${cases.map(tile)}</div>`
}

function tile(each: BenchCase): Markup {
  const { scheduler, speedup, nfe, steps, flops, fidelity_by_kind: kinds } = each
  const warning = incomparable(each)
  const note = warning === undefined ? html`<p class="note">${legend(each)}</p>` : html`<p class="note down">${warning}</p>`
  const closeness = Object.entries(kinds).map(([kind, { psnr_db }]) => {
    const pictures = each.pictures.filter((picture) => picture.kind === kind)
    return html`<dt>${kind} prompts, PSNR</dt>
      <dd>${dB(psnr_db.mean)} ${warning === undefined && gain(pictures)}</dd>`
  })
  return html`<section class="tile">
    <h2>${schedulerName(scheduler)} <span>${caseName(each)}</span></h2>
    <p class="big">${times(speedup.wall)}<small>as fast</small></p>
    <dl>
      <dt>network runs</dt>
      <dd>${runs(nfe.mean)} of ${steps}</dd>
      <dt>FLOPs</dt>
      <dd>÷ ${flops.ratio.toFixed(2)}</dd>
      ${closeness}
    </dl>
    ${note}
  </section>`
}

/** What stands in brackets; where plain steps are not comparable, nothing does. */
function legend(each: BenchCase): string {
  const off = timeOff(each)
  const took = off === undefined ? 'take the same time' : `are meant to take as long and took ${off}`
  return `In brackets: dB above ${each.fewer_steps.steps} plain steps, which ${took}; equal pictures count as ${EQUAL_DB} dB there`
}

/** How far the policy is above the plain run of the same time, over the same pictures. */
function gain(pictures: BenchCase['pictures']): Markup {
  const difference =
    meanDecibels(pictures.map(({ psnr_db: psnr }) => psnr)) - meanDecibels(pictures.map(({ fewer_steps_psnr_db: psnr }) => psnr))
  return html`<span class="${difference >= 0 ? 'up' : 'down'}"
    >(${difference >= 0 ? '+' : '−'}${Math.abs(difference).toFixed(1)})</span
  >`
}
