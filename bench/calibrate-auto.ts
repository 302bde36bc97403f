/**
 * Three laws, fitted on the bundled model under `sada`'s defaults:
 * - how errors usually change along the noise level, which `sada` measures a picture's by: ln(rate/|x0|) as a cubic in the flow level σ/(α+σ);
 * - for `auto`, what is still to come when the network runs no more: ln(rms(final − x0)/|x0|) from ln rate and ln of the steps left, for flow matching and for
 *   variance-preserving solvers apart;
 * - what PSNR comes of closing a run at such a forecast, in decibels.
 *
 *   npx tsx bench/calibrate-auto.ts [--prompts 12] [--offset 36] [--json FILE]
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Matrix, solve } from 'ml-matrix'
import { load } from '../ts/index.ts'
import { psnr } from '../ts/metrics/psnr.ts'
import { findModel } from '../ts/pipeline/model-folder.ts'
import { loadManifest } from '../ts/plan/model.ts'
import { CLOSED } from '../ts/policy/auto.ts'
import { parseSchedulerConfig } from '../ts/schedule/config.ts'
import { noiseShare } from '../ts/schedule/noise-level.ts'
import { createSchedule } from '../ts/schedule/schedule.ts'

const { values } = parseArgs({
  options: {
    prompts: { type: 'string', default: '12' },
    offset: { type: 'string', default: '36' },
    json: { type: 'string' },
  },
})
const STEPS = 50
const BATCH = 4
/** Forecasts, in decibels, at which runs are closed. */
const FORECASTS = [28, 31, 34, 37, 40]

interface Point {
  readonly isFlow: boolean
  readonly level: number
  readonly rate: number
  readonly left: number
  readonly remaining: number
}

async function main(): Promise<void> {
  const pipeline = await load('avatar')
  const folder = await findModel('avatar')
  const manifest = await loadManifest(folder)
  const prompts = JSON.parse(readFileSync(join(folder, manifest.prompts!), 'utf8')) as Record<string, string[]>
  const points: Point[] = []
  const closed: { solver: keyof typeof CLOSED; forecast: number; reached: number }[] = []
  for (const scheduler of Object.keys(manifest.schedulers)) {
    const { config } = parseSchedulerConfig(manifest.schedulers[scheduler])
    const { levels, solver } = createSchedule(config, { steps: STEPS, prediction: manifest.prediction })
    const flow = levels.map(noiseShare)
    for (const list of [prompts.full, prompts.short]) {
      for (let from = 0; from < Number(values.prompts); from += BATCH) {
        const prompt = list.slice(Number(values.offset) + from, Number(values.offset) + from + BATCH)
        const call = { prompt, seed: prompt.map((_, k) => 5000 + from + k), scheduler, steps: STEPS }
        const full = await pipeline.generate({ ...call, policy: 'none' })
        const denoised: Float32Array[] = []
        const { trace } = await pipeline.generate({ ...call, policy: 'sada', onStep: (e) => denoised.push(e.denoised()) })
        const length = full.latents.length / prompt.length
        const isFlow = scheduler === 'flow-euler'
        const [offset, slope] = CLOSED[solver as keyof typeof CLOSED]
        for (const forecast of FORECASTS) {
          const policy = { name: 'auto', target: { psnrDb: offset + slope * forecast } }
          const { latents, trace } = await pipeline.generate({ ...call, policy })
          for (const b of prompt.keys()) {
            // One that is not closed is what `sada` makes.
            if (trace.members[b].steps.at(-1)!.action === 'run') continue
            const [now, then] = [latents, full.latents].map((all) => all.subarray(b * length, (b + 1) * length))
            closed.push({ solver: solver as keyof typeof CLOSED, forecast, reached: psnr(now, then) })
          }
        }
        for (const [b, { steps }] of trace.members.entries()) {
          let newest = 0
          for (const { step, action, error } of steps) {
            if (action !== 'run') continue
            const x0 = denoised[step].subarray(b * length, (b + 1) * length)
            let [square, magnitude] = [0, 0]
            for (let k = 0; k < length; k++) {
              square += (x0[k] - full.latents[b * length + k]) ** 2
              magnitude += Math.abs(x0[k])
            }
            magnitude /= length
            const remaining = Math.sqrt(square / length) / magnitude
            if (error)
              points.push({
                isFlow,
                level: flow[step],
                rate: error / (step - newest) / magnitude,
                left: STEPS - step,
                remaining,
              })
            newest = step
          }
        }
      }
    }
  }
  await pipeline.dispose()
  const profile = fit(points.map(({ level, rate }) => ({ x: [1, level, level ** 2, level ** 3], y: Math.log(rate) })))
  // What the last steps bring is the sampler's end, and what comes before the picture is there is no end yet.
  const middle = points.filter(({ left, remaining }) => left >= 3 && left <= 42 && remaining < 0.5)
  const restOf = (isFlow: boolean) =>
    fit(
      middle
        .filter((point) => point.isFlow === isFlow)
        .map(({ rate, left, remaining }) => ({ x: [1, Math.log(rate), Math.log(left)], y: Math.log(remaining) })),
    )
  const closedOf = (solver: string) =>
    fit(
      closed.filter((each) => each.solver === solver).map(({ forecast, reached }) => ({ x: [1, forecast], y: reached })),
      1,
    )
  const rest = { flow: restOf(true), variancePreserving: restOf(false) }
  const result = {
    points: points.length,
    profile,
    rest,
    closed: Object.fromEntries(Object.keys(CLOSED).map((each) => [each, closedOf(each)])),
  }
  console.log(JSON.stringify(result, undefined, 1))
  if (values.json) writeFileSync(values.json, JSON.stringify(result, undefined, 1) + '\n')
}

/** Least squares, and the median absolute residual in decibels, of which `unit` is how many one of y is. */
function fit(
  samples: readonly { x: number[]; y: number }[],
  unit = 20 / Math.LN10,
): { weights: number[]; medianErrorDb: number } {
  const solved = solve(new Matrix(samples.map(({ x }) => x)), Matrix.columnVector(samples.map(({ y }) => y)), true)
  const weights = solved.to1DArray()
  const errors = samples.map(({ x, y }) => Math.abs(y - x.reduce((sum, v, k) => sum + v * weights[k], 0)))
  const medianErrorDb = unit * errors.sort((a, b) => a - b)[errors.length >> 1]
  return { weights: weights.map((w) => Number(w.toPrecision(4))), medianErrorDb }
}

void main()
