import type { MemberTrace } from '../../sampler/trace.ts'
import type { BenchCase } from '../result.ts'
import { greatest, least, mean } from '../statistics.ts'
import { chart, frame, line, stepTicks, ticks, ticksBefore, WIDTH, xAxis, yAxis } from './chart.ts'
import { dB } from './figures.ts'
import { html, type Markup } from './markup.ts'

/** The stability criterion of every picture, where it was evaluated; undefined where the policy has none. */
export function criterionPlot(members: readonly MemberTrace[], worst: number): Markup | undefined {
  const curves = members.map(({ steps }) =>
    steps.flatMap(({ step, criterion }) => (criterion === undefined ? [] : [[step + 1, criterion] as const])),
  )
  const all = curves.flat().map(([, value]) => Math.abs(value))
  if (all.length === 0) return undefined
  // Values span many powers of ten, on both sides of zero: near zero the scale is linear, beyond it logarithmic.
  const largest = greatest(all)
  const unit = Math.max(largest * 1e-4, Number.MIN_VALUE)
  const scaled = (value: number): number => Math.asinh(value / unit)
  const most = scaled(largest)
  const f = frame([1, members[0].steps.length], [-most, most])
  const powers = [0.01, 1].flatMap((share) => [-share, share]).map((share) => share * largest)
  const draw = (points: readonly (readonly [number, number])[], name: string): Markup =>
    line(
      f,
      points.map(([step, value]) => [step, scaled(value)] as const),
      name,
    )
  return chart('Mean of the stability criterion at every computed step; below zero is stable.', [
    html`<rect class="stable" x="${f.left}" y="${f.y(0)}" width="${f.right - f.left}" height="${f.bottom - f.y(0)}" />`,
    yAxis(
      f,
      [0, ...powers].map((value) => ({ at: scaled(value), text: exponential(value) })),
    ),
    xAxis(f, stepTicks(members[0].steps.length), 'step'),
    html`${curves.map((points, k) => k !== worst && draw(points, 'faint'))}`,
    draw(curves[worst], 'accelerated'),
    html`${curves[worst].map(
      ([step, value]) =>
        html`<circle class="accelerated" cx="${f.x(step)}" cy="${f.y(scaled(value))}" r="2.2"
          ><title>step ${step}: ${exponential(value, 2)}</title></circle
        >`,
    )}`,
    // Beside the line between them, where there is most room, and over the curves.
    html`<text class="region" x="${(f.left + f.right) / 2}" y="${f.y(0) - 5}">unstable</text>
      <text class="region" x="${(f.left + f.right) / 2}" y="${f.y(0) + 13}">stable</text>`,
  ])
}

/** `−5e−4` */
const exponential = (value: number, digits = 0): string =>
  value === 0 ? '0' : value.toExponential(digits).replace('+', '').replaceAll('-', '−')

/** Wall time of every step, a mean over the pictures, with and without acceleration. */
export function timePlot(accelerated: readonly MemberTrace[], baseline: readonly MemberTrace[]): Markup {
  const perStep = (members: readonly MemberTrace[]) =>
    members[0].steps.map(({ step }) => [step + 1, mean(members.map(({ steps }) => steps[step].ms))] as const)
  const [fast, full] = [perStep(accelerated), perStep(baseline)]
  const most = greatest([...fast, ...full].map(([, ms]) => ms)) * 1.05
  const f = frame([1, fast.length], [0, most])
  const area = `M${f.x(1)} ${f.bottom}${fast.map(([step, ms]) => `L${f.x(step)} ${f.y(ms)}`).join('')}L${f.right} ${f.bottom}Z`
  return chart('Wall time of every step in milliseconds, with and without acceleration.', [
    yAxis(
      f,
      ticks([0, most], 5).map((at) => ({ at, text: `${at} ms` })),
    ),
    xAxis(f, stepTicks(fast.length), 'step'),
    html`<path class="area" d="${area}" />`,
    line(f, full, 'baseline'),
    line(f, fast, 'accelerated'),
  ])
}

const ROW = 22
/** Of a plot's height, what the axis takes. */
const MARGINS = 46
/** What a character of a label is wide, and how many are shown of a kind, which may be called anything. */
const CHARACTER = 5.9
const KIND = 8

const shortened = (kind: string): string => (kind.length > KIND ? `${kind.slice(0, KIND - 1)}…` : kind)

/** Every picture's PSNR, beside the plain run of the same time: right is closer to the full run. */
export function closenessPlot({ pictures, policy, fewer_steps: fewer }: BenchCase): Markup {
  const kinds = [...new Set(pictures.map(({ kind }) => kind))]
  const finite = pictures
    .flatMap(({ psnr_db, fewer_steps_psnr_db }) => [psnr_db, fewer_steps_psnr_db])
    .filter((value) => value !== null)
  const equal = finite.length < 2 * pictures.length
  const [low, high] = finite.length > 0 ? [least(finite), greatest(finite)] : [40, 80]
  const domain = [Math.floor((low - 2) / 5) * 5, Math.ceil((high + 2) / 5) * 5] as const
  const height = MARGINS + 2 * ROW * kinds.length
  const labels = kinds.map(shortened).map((kind) => [`${kind}: ${policy}`, `${kind}: plain ${fewer.steps}`])
  const longest = greatest(labels.flat().map(({ length }) => length))
  const f = frame(domain, [0, 1], height, Math.max(104, Math.round(longest * CHARACTER) + 8))
  // Equal pictures have no finite value: they stand at the right edge.
  const row = (name: string, label: string, k: number, values: readonly (number | null)[]): Markup =>
    html`<text class="row" x="${f.left - 8}" y="${f.top + ROW * (k + 0.5) + 4}" text-anchor="end">${label}</text> ${values.map(
        (value) =>
          html`<circle class="${name}" cx="${value === null ? f.right : f.x(value)}" cy="${f.top + ROW * (k + 0.5)}" r="4"
            ><title>${dB(value)}</title></circle
          >`,
      )}`
  return chart(
    `PSNR of every picture for ${policy} and for ${fewer.steps} plain steps.`,
    [
      xAxis(f, ticksBefore(equal, domain, 4), 'PSNR in dB; right is closer', true),
      equal && html`<text x="${f.right}" y="${f.bottom + 15}" text-anchor="middle">equal</text>`,
      html`${kinds.map((kind, k) => {
        const ofKind = pictures.filter((picture) => picture.kind === kind)
        return html`${k > 0 && html`<path class="grid" d="M0 ${f.top + 2 * ROW * k}H${WIDTH}" />`}
        ${row(
          'accelerated',
          labels[k][0],
          2 * k,
          ofKind.map(({ psnr_db }) => psnr_db),
        )}
        ${row(
          'plain',
          labels[k][1],
          2 * k + 1,
          ofKind.map(({ fewer_steps_psnr_db }) => fewer_steps_psnr_db),
        )}`
      })}`,
    ],
    height,
  )
}
