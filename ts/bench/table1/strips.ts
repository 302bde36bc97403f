import { html, type Markup } from '../report/markup.ts'
import { inWords } from '../report/strip.ts'
import type { StepAction } from '../../sampler/trace.ts'
import { LETTERS } from './run.ts'
import type { TableRow, WorstCase } from './result.ts'

const CELL = 10
const HEIGHT = 28
/** From the bottom up. */
const ORDER = Object.entries(LETTERS)

/** One column for each step: which share of the pictures did what. */
export function shareStrip({ decisions, method }: Pick<TableRow, 'decisions' | 'method'>): Markup {
  const columns = decisions.map((shares, k) => {
    let top = HEIGHT
    const present = ORDER.filter(([, letter]) => (shares[letter] ?? 0) > 0)
    const bars = present.map(([action, letter]) => {
      const height = shares[letter] * HEIGHT
      top -= height
      return html`<rect
        x="${k * CELL}"
        y="${top.toFixed(1)}"
        width="${CELL - 1}"
        height="${height.toFixed(1)}"
        fill="var(--${action})"
        opacity="${'EIU'.includes(letter) ? 0.5 : 1}"
      />`
    })
    const words = present.map(([action, letter]) => `${action} ${Math.round(100 * shares[letter])} %`).join(', ')
    return html`<g><title>step ${k + 1}: ${words}</title>${bars}</g>`
  })
  return drawing(decisions.length, `${method}: what each step did, over all pictures`, columns)
}

const actionAt = (actions: string, step: number): StepAction => {
  const [action] = ORDER.find(([, letter]) => letter === actions[step]) ?? ['run']
  return action as StepAction
}

/** One cell for each step of one picture: its bar says how much of the network ran. */
export function pictureStrip({ actions, shares }: Pick<WorstCase, 'actions' | 'shares'>): Markup {
  const cells = shares.map((share, k) => {
    const action = actionAt(actions, k)
    const bar = Math.round(share * HEIGHT)
    return html`<g class="a-${action}"
      ><title>step ${k + 1}: ${action}, ${Math.round(100 * share)} % of the network</title>
      <rect class="cell" x="${k * CELL}" width="${CELL - 1}" height="${HEIGHT}" /><rect
        x="${k * CELL}"
        y="${HEIGHT - bar}"
        width="${CELL - 1}"
        height="${bar}"
    /></g>`
  })
  return drawing(actions.length, inWords([...shares.keys()].map((step) => ({ step, action: actionAt(actions, step) }))), cells)
}

const drawing = (steps: number, label: string, content: readonly Markup[]): Markup =>
  html`<svg class="strip" viewBox="0 0 ${steps * CELL - 1} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${label}">
    ${content}
  </svg>`
