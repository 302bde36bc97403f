import type { MemberStep, StepAction } from '../../sampler/trace.ts'
import { html, type Markup } from './markup.ts'

const CELL = 10
const HEIGHT = 28

/** What each action means, in the order of the legend. */
const ACTIONS: Readonly<Record<StepAction, string>> = {
  run: 'the network ran',
  partial: 'some stages of the network ran',
  prune: 'the network ran on the tokens that moved; the bar shows how many',
  extrapolate: 'skipped: continued from the steps before',
  interpolate: 'skipped: interpolated from several earlier steps',
  reuse: 'skipped: the last estimate was used again',
}

/** One cell for each step: its colour says what was done, its bar how much of the network ran. */
export function strip(steps: readonly MemberStep[], tokens: number | undefined): Markup {
  const width = steps.length * CELL
  const cells = steps.map((step, k) => {
    const bar = Math.round(networkShare(step, tokens) * HEIGHT)
    const kept = step.keptTokens === undefined ? '' : `, ${step.keptTokens}${tokens === undefined ? '' : ` of ${tokens}`} tokens`
    return html`<g class="a-${step.action}"
      ><title>step ${step.step + 1}: ${step.action}${kept}, ${step.ms.toFixed(1)} ms</title>
      <rect class="cell" x="${k * CELL}" width="${CELL - 1}" height="${HEIGHT}" /><rect
        class="bar"
        x="${k * CELL}"
        y="${HEIGHT - bar}"
        width="${CELL - 1}"
        height="${bar}"
    /></g>`
  })
  return html`<svg
    class="strip"
    viewBox="0 0 ${width - 1} ${HEIGHT}"
    preserveAspectRatio="none"
    role="img"
    aria-label="${inWords(steps)}"
  >
    ${cells}
  </svg>`
}

/** How much of the network a step ran, 0 … 1; of some stages, or of unknown many tokens: half, for want of a measure. */
function networkShare({ action, keptTokens }: MemberStep, tokens: number | undefined): number {
  const pruned = tokens === undefined ? 0.5 : (keptTokens ?? tokens) / tokens
  return { run: 1, prune: pruned, partial: 0.5, extrapolate: 0, interpolate: 0, reuse: 0 }[action]
}

export function stripLegend(present: ReadonlySet<StepAction>): Markup {
  const actions = Object.entries(ACTIONS).filter(([action]) => present.has(action as StepAction))
  return html`<ul class="legend">
    ${actions.map(([action, meaning]) => html`<li><i class="swatch s-${action}"></i><b>${action}</b> ${meaning}</li>`)}
  </ul>`
}

/** `Steps 1–10 run, 11–12 extrapolate, …` */
export function inWords(steps: readonly Pick<MemberStep, 'step' | 'action'>[]): string {
  const stretches: { action: string; from: number; to: number }[] = []
  for (const { step, action } of steps) {
    const last = stretches.at(-1)
    if (last?.action === action) last.to = step + 1
    else stretches.push({ action, from: step + 1, to: step + 1 })
  }
  return `Steps ${stretches.map(({ action, from, to }) => `${from === to ? from : `${from}–${to}`} ${action}`).join(', ')}.`
}
