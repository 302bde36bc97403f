import type { BenchCase } from '../result.ts'
import { caseName, comparisonLabel, plainLabel } from '../table.ts'
import { ms, runs, schedulerName, similarity, times } from './figures.ts'
import { html, type Markup } from './markup.ts'

/** All figures: each case beside its rivals. */
export function figuresTable(cases: readonly BenchCase[]): Markup {
  const kinds = [...new Set(cases.flatMap(({ fidelity_by_kind }) => Object.keys(fidelity_by_kind)))]
  return html`<div class="scroll" tabindex="0" role="region" aria-label="All figures">
    <table>
      <thead>
        <tr>
          <th scope="col"></th>
          <th scope="col">runs</th>
          <th scope="col">time</th>
          <th scope="col">speed-up</th>
          <th scope="col">5 %–95 %</th>
          <th scope="col">FLOPs</th>
          ${kinds.map(
            (kind) =>
              html`<th scope="col">${kind}: PSNR</th>
                <th scope="col">worst</th>`,
          )}
          <th scope="col">SSIM</th>
        </tr>
      </thead>
      ${cases.map((each) => group(each, kinds))}
    </table>
  </div>`
}

function group(each: BenchCase, kinds: readonly string[]): Markup {
  const { fewer_steps: fewer, speedup, flops, baseline_wall_ms: baseline, wall_ms: wall, fidelity } = each
  const known = kinds.map((kind) => each.fidelity_by_kind[kind])
  return html`<tbody>
    <tr class="group">
      <th scope="rowgroup" colspan="${7 + 2 * kinds.length}">${schedulerName(each.scheduler)}</th>
    </tr>
    <tr>
      <th scope="row">every step</th>
      ${cells([String(each.steps), ms(baseline.p50), times(1), '', '', ...kinds.flatMap(() => ['', '']), ''])}
    </tr>
    <tr class="ours">
      <th scope="row">${caseName(each)}</th>
      ${cells([
        runs(each.nfe.mean),
        ms(wall.p50),
        times(speedup.wall),
        `${speedup.wall_p05.toFixed(2)}–${speedup.wall_p95.toFixed(2)}`,
        `÷ ${flops.ratio.toFixed(2)}`,
        ...known.flatMap(({ psnr_db }) => decibels(psnr_db.mean, psnr_db.min)),
        similarity(fidelity.ssim.mean),
      ])}
    </tr>
    <tr>
      <th scope="row">${plainLabel(each)}</th>
      ${cells([
        String(fewer.steps),
        ms(fewer.wall_ms),
        times(fewer.speedup_wall),
        '',
        `÷ ${(each.steps / fewer.steps).toFixed(2)}`,
        ...known.flatMap((kind) => decibels(kind.fewer_steps.psnr_db, kind.fewer_steps.psnr_db_min)),
        similarity(fewer.ssim),
      ])}
    </tr>
    ${each.comparisons.map(
      (rival) =>
        html`<tr>
          <th scope="row">${comparisonLabel(rival)}</th>
          ${cells([
            runs(rival.nfe),
            ms(rival.wall_ms),
            times(rival.speedup_wall),
            '',
            `÷ ${(each.steps / rival.nfe).toFixed(2)}`, // none of its passes is pruned
            ...kinds.flatMap((kind) =>
              decibels(rival.fidelity_by_kind[kind].psnr_db.mean, rival.fidelity_by_kind[kind].psnr_db.min),
            ),
            similarity(rival.ssim.mean),
          ])}
        </tr>`,
    )}
  </tbody>`
}

const cells = (texts: readonly string[]): Markup => html`${texts.map((text) => html`<td>${text}</td>`)}`
const decibels = (mean: number | null, worst: number | null): string[] =>
  mean === null ? ['equal', ''] : [mean.toFixed(1), worst!.toFixed(1)]
