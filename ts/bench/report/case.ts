import type { StepAction } from '../../sampler/trace.ts'
import type { MeasuredCase } from '../bench.ts'
import { tokenCount } from '../flops.ts'
import type { BenchModel } from '../model.ts'
import { caseName, plainLabel } from '../table.ts'
import { dB, ms, schedulerName, similarity, times } from './figures.ts'
import { html, type Markup } from './markup.ts'
import { differencePicture, fittingAmplification, isWide, samplePicture, thingsOf } from './pictures.ts'
import { closenessPlot, criterionPlot, timePlot } from './plots.ts'
import { strip, stripLegend } from './strip.ts'

/** Pictures shown at once, and at most; fewer where they are large, as they are all part of the page. */
const SHOWN = 3
const MOST = 16
const MOST_PIXELS = 2 ** 22

/** Everything about one case: plots, and its pictures, the worst first. */
export async function caseSection(each: MeasuredCase, model: BenchModel, id: string): Promise<Markup> {
  const { figures, accelerated, baseline } = each
  const order = worstFirst(each)
  const members = accelerated.members
  const present = new Set<StepAction>(members.flatMap(({ steps }) => steps.map(({ action }) => action)))
  const [, height, width] = model.shape
  const most = Math.min(MOST, Math.max(SHOWN, Math.floor(MOST_PIXELS / (width * height))))
  const criterion = criterionPlot(members, order[0])
  const cards = await Promise.all(order.slice(0, most).map((k) => card(each, k, model)))
  return html`<section id="${id}">
    <h2>${schedulerName(figures.scheduler)}, policy ${caseName(figures)}</h2>
    <p class="soft">
      ${times(figures.speedup.wall)} as fast (5 % to 95 % of the pairs: ${figures.speedup.wall_p05.toFixed(2)} to
      ${figures.speedup.wall_p95.toFixed(2)}), ${ms(figures.baseline_wall_ms.p50)} down to ${ms(figures.wall_ms.p50)}. The sampler
      itself takes ${Math.round(figures.overhead_us_per_step)} µs a step.
    </p>
    <div class="plots">
      ${plot(`How close each ${thingsOf(model.note).one} is`, html`filled: ${caseName(figures)}; rings: ${plainLabel(figures)}`, closenessPlot(figures))}
      ${plot(
        'Time of each step',
        html`<i class="key" style="background:var(--base)"></i>every step runs
          <i class="key" style="background:var(--accent);margin-left:14px"></i>${caseName(figures)}`,
        timePlot(members, baseline.members),
      )}
      ${
        criterion &&
        plot(
          'Stability criterion',
          html`<i class="key" style="background:var(--accent)"></i>the worst picture; faint: the others. Below zero is stable`,
          criterion,
        )
      }
    </div>
    <h3>${model.note === undefined ? 'Pictures' : 'Sounds'}, the worst first</h3>
    ${stripLegend(present)}
    <div class="samples">${cards.slice(0, SHOWN)}</div>
    ${
      cards.length > SHOWN &&
      html`<details>
        <summary>${cards.length - SHOWN} more, in the same order${order.length > most && html` (of ${order.length})`}</summary>
        <div class="samples">${cards.slice(SHOWN)}</div>
      </details>`
    }
  </section>`
}

/** By PSNR, ascending; identical pictures last. Nobody chooses. */
function worstFirst({ figures: { pictures } }: MeasuredCase): number[] {
  return pictures.map((_, k) => k).sort((a, b) => (pictures[a].psnr_db ?? Infinity) - (pictures[b].psnr_db ?? Infinity))
}

async function card(
  { figures, baseline, accelerated, fewer }: MeasuredCase,
  k: number,
  { shape, range, costs }: BenchModel,
): Promise<Markup> {
  const picture = figures.pictures[k]
  const { steps } = accelerated.members[k]
  const [full, fast, plain] = [baseline, accelerated, fewer].map(({ samples }) => samples[k])
  const amplification = fittingAmplification(full, fast)
  const images = [
    { caption: `every step, ${figures.steps} runs`, source: await samplePicture(full, shape, range) },
    { caption: `${caseName(figures)}, ${picture.nfe} runs`, source: await samplePicture(fast, shape, range) },
    {
      caption: picture.psnr_db === null ? 'no difference' : `its difference × ${amplification}`,
      source: await differencePicture(full, fast, shape, amplification),
    },
    {
      caption: `plain ${figures.fewer_steps.steps} steps: difference × ${amplification}`,
      source: await differencePicture(full, plain, shape, amplification),
    },
  ]
  return html`<article class="sample">
    <div class="pictures${isWide(shape[2], shape[1]) && ' wide'}">
      ${images.map(
        ({ caption, source }) =>
          html`<figure>
            <img src="${source}" width="${shape[2]}" height="${shape[1]}" alt="${caption}: ${picture.prompt}" />
            <figcaption>${caption}</figcaption>
          </figure>`,
      )}
    </div>
    <div class="about">
      <h4>${picture.prompt} <span class="badge">${picture.kind}, seed ${picture.seed}</span></h4>
      <dl>
        <dt>PSNR</dt>
        <dd>${dB(picture.psnr_db)}</dd>
        <dt>${figures.fewer_steps.steps} plain steps</dt>
        <dd>${dB(picture.fewer_steps_psnr_db)}</dd>
        <dt>SSIM</dt>
        <dd>${similarity(picture.ssim)}</dd>
      </dl>
    </div>
    <div class="across">
      ${strip(steps, costs && tokenCount(costs.tokens))}
      <div class="scale"><span>step 1, noise</span><span>step ${figures.steps}, picture</span></div>
    </div>
  </article>`
}

function plot(title: string, caption: Markup, drawing: Markup): Markup {
  return html`<figure class="plot">
    <figcaption><b>${title}</b>${caption}</figcaption>
    ${drawing}
  </figure>`
}
