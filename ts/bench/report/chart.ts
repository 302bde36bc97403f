import { html, type Markup } from './markup.ts'

export const WIDTH = 330
export const HEIGHT = 190
const MARGIN = { left: 48, right: 12, top: 12, bottom: 34 }

/** Where data values lie on the drawing. */
export interface Frame {
  readonly x: (value: number) => number
  readonly y: (value: number) => number
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

type Domain = readonly [number, number]

export function frame(xs: Domain, ys: Domain, height = HEIGHT, left = MARGIN.left, width = WIDTH): Frame {
  const [right, top, bottom] = [width - MARGIN.right, MARGIN.top, height - MARGIN.bottom]
  const at = (value: number, [from, to]: Domain, low: number, high: number): number =>
    Math.round((low + ((value - from) / (to - from || 1)) * (high - low)) * 10) / 10
  return { left, right, top, bottom, x: (value) => at(value, xs, left, right), y: (value) => at(value, ys, bottom, top) }
}

export function chart(label: string, content: readonly (Markup | false)[], height = HEIGHT, width = WIDTH): Markup {
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${content}</svg>`
}

export function xAxis({ x, left, right, top, bottom }: Frame, ticks: readonly number[], title: string, grid = false): Markup {
  return html`<g class="axis"
    >${ticks.map(
      (tick) =>
        html`${grid && html`<path class="grid" d="M${x(tick)} ${top}V${bottom}" />`}
          <text x="${x(tick)}" y="${bottom + 15}" text-anchor="middle">${tick}</text>`,
    )} <text class="title" x="${(left + right) / 2}" y="${bottom + 30}" text-anchor="middle">${title}</text></g
  >`
}

export function yAxis({ y, left, right }: Frame, ticks: readonly { readonly at: number; readonly text: string }[]): Markup {
  return html`<g class="axis"
    >${ticks.map(
      ({ at, text }) =>
        html`<path class="grid" d="M${left} ${y(at)}H${right}" />
          <text x="${left - 6}" y="${y(at) + 4}" text-anchor="end">${text}</text>`,
    )}</g
  >`
}

export function line({ x, y }: Frame, points: readonly (readonly [number, number])[], name: string): Markup {
  const path = points.map(([px, py], k) => `${k === 0 ? 'M' : 'L'}${x(px)} ${y(py)}`).join('')
  return html`<path class="line ${name}" d="${path}" />`
}

/** Ticks that leave room at the end of the axis, where what is equal stands, which has no finite value. */
export const ticksBefore = (equal: boolean, domain: Domain, count: number): number[] =>
  ticks(domain, count).filter((tick) => !equal || tick < domain[1] - 0.12 * (domain[1] - domain[0]))

/** Round values between two, about `count` of them. */
export function ticks([from, to]: Domain, count: number): number[] {
  const rough = (to - from) / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough
  const first = Math.ceil(from / step)
  return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, k) => Number(((first + k) * step).toPrecision(12)))
}

/** Of so many steps, which have no parts: whole ones, and the only one there may be. */
export const stepTicks = (steps: number): number[] => (steps === 1 ? [1] : ticks([1, steps], 5).filter(Number.isInteger))
