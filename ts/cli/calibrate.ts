import {
  calibrateMagCache,
  calibrateTeaCache,
  type CalibrationSettings,
  type MagCacheCalibration,
  type TeaCacheCalibration,
} from '../bench/calibrate.ts'
import { filePrompts, modelPrompts, type BenchPrompt } from '../bench/prompts.ts'
import type { Generate } from '../bench/settings.ts'
import { unknownName } from '../errors.ts'
import { findModel } from '../pipeline/model-folder.ts'
import { seedsFrom } from './arguments.ts'
import { benchControls } from './control.ts'
import { loadOn, type DeviceArguments } from './engines.ts'
import { pictureRequest, type PictureArguments } from './picture-options.ts'
import { createProgress } from './progress.ts'
import { engineSizesFor } from './request.ts'

export interface CalibrateArguments extends DeviceArguments, PictureArguments {
  readonly model: string
  readonly samples: number
  readonly prompts?: string
  readonly degree: number
  readonly steps?: number
  readonly guidance?: number
  readonly scheduler?: string
  readonly seed: number | bigint
  readonly json: boolean
}

type Calibration = { readonly policy: string; readonly model: string } & (TeaCacheCalibration | MagCacheCalibration)

/** What `sada calibrate` prints: what was fitted, how well, and the option that uses it. */
export async function calibrate(policy: string, options: CalibrateArguments, signal: AbortSignal): Promise<string> {
  if (policy !== 'teacache' && policy !== 'magcache') {
    throw unknownName('policy to calibrate', policy, ['teacache', 'magcache'])
  }
  const prompts = await promptsFor(options)
  const seeds = seedsFrom(options.seed, prompts.length)
  const pipeline = await loadOn(options.model, options, engineSizesFor({ ...options, count: 1 }), signal)
  const progress = createProgress()
  try {
    const { scheduler, steps, guidance } = options
    const controls = await benchControls(options, pipeline.size)
    const led = prompts.map((prompt, k) => ({ ...prompt, ...controls.at(k) }))
    const settings: CalibrationSettings = { prompts: led, scheduler, steps, guidance, seeds }
    const generate: Generate = (call) => pipeline.generate({ ...call, ...pictureRequest(options) })
    const found =
      policy === 'teacache'
        ? await calibrateTeaCache(generate, settings, options.degree, progress, signal)
        : await calibrateMagCache(generate, settings, progress, signal)
    const calibration = { policy, model: pipeline.name, ...found }
    return options.json ? JSON.stringify(calibration) + '\n' : asText(calibration)
  } finally {
    progress.stop()
    await pipeline.dispose()
  }
}

const promptsFor = async ({ model, prompts, samples }: CalibrateArguments): Promise<BenchPrompt[]> =>
  prompts === undefined ? modelPrompts(await findModel(model), samples) : filePrompts(prompts, samples)

function asText(found: Calibration): string {
  const { policy, model, scheduler, steps, guidance, pictures } = found
  const digits = (values: readonly number[], count: number): string =>
    values.map((value) => Number(value.toPrecision(count))).join('x')
  const head = `${policy} for ${model}: ${scheduler}, ${steps} steps, guidance ${guidance}, ${pictures} ${pictures === 1 ? 'picture' : 'pictures'}`
  if ('ratios' in found) {
    const spread = `largest standard deviation between pictures at a step: ${found.deviation.toPrecision(2)}`
    return [head, spread, `  --policy magcache:ratios=${digits(found.ratios, 5)},keep=-1`, ''].join('\n')
  }
  const [from, to] = found.range.map((x) => x.toPrecision(3))
  const fit = `R² = ${found.rSquared.toFixed(3)} over ${found.pairs} pairs, changes from ${from} to ${to}`
  const weak = found.rSquared < 0.5 ? ["The blocks' input says little of the output here: a threshold will not mean much."] : []
  const negative = found.isNegative ? ['The polynomial is negative in places there: take a lower --degree.'] : []
  return [
    head,
    fit,
    ...weak,
    ...negative,
    `  --policy teacache:coefficients=${digits(found.coefficients, 9)},threshold=0.15`,
    '',
  ].join('\n')
}
