import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { floats } from '../support/mixture.ts'
import {
  absoluteError,
  isRescaled,
  recordedGrids,
  recordedRuns,
  recordedTables,
  relativeError,
  scheduleOfGrid,
  scheduleOfRun,
  type RecordedGrid,
} from '../support/schedulers.ts'

// Reasons for the tolerances: test/fixtures/schedulers/README.md.
function levelTolerance(recorded: Pick<RecordedGrid, 'given' | 'text'>): number {
  if (isRescaled(recorded)) return 2e-5
  // Log-linear levels are exponentials of float32 logarithms, which have an ulp of up to 9.5e-7.
  return recorded.given?.interpolation_type === 'log_linear' ? 1e-6 : 5e-7
}
const timestepTolerance = 1.2e-4

for (const run of recordedRuns) {
  test(`${run.case}: timesteps and levels of diffusers`, () => {
    const schedule = scheduleOfRun(run)
    assert.is(schedule.steps, run.steps)
    assert.is(schedule.sigmas.length, run.steps + 1)
    assert.ok(relativeError(schedule.sigmas, run.sigmas.slice(0, run.steps + 1)) <= levelTolerance(run))
    assert.ok(absoluteError(schedule.timesteps, run.timesteps) <= timestepTolerance)
    assert.ok(Math.abs(schedule.initNoiseSigma / run.init_noise_sigma - 1) <= 2e-7)
  })

  test(`${run.case}: the configuration that diffusers saves means the same as the arguments given`, () => {
    const saved = parseSchedulerConfig({ _class_name: run.class, _diffusers_version: '0.42.1', ...run.config })
    assert.equal(saved.config, parseSchedulerConfig({ _class_name: run.class, ...run.given }).config)
    assert.equal(saved.warnings, [])
  })
}

test('grids.json: timesteps and levels of 201 configurations', () => {
  assert.is(recordedGrids.length, 201)
  for (const grid of recordedGrids) {
    const name = JSON.stringify(grid.given ?? grid.text)
    const schedule = scheduleOfGrid(grid)
    assert.is(schedule.steps, grid.timesteps.length, name)
    assert.ok(relativeError(schedule.sigmas, grid.sigmas.slice(0, schedule.steps + 1)) <= levelTolerance(grid), name)
    assert.ok(absoluteError(schedule.timesteps, grid.timesteps) <= timestepTolerance, name)
    assert.ok(Math.abs(schedule.initNoiseSigma / grid.init_noise_sigma - 1) <= levelTolerance(grid), name)
  }
})

for (const table of recordedTables) {
  test(`training table of ${JSON.stringify(table.given)}`, () => {
    const { config } = parseSchedulerConfig(table.given, 'dpm++')
    const { trainingBetas, alphasCumprod } = createSchedule(config, { steps: 1 })
    const isExact = !table.given.rescale_betas_zero_snr
    assert.ok(absoluteError(trainingBetas, floats(table.betas)) <= (isExact ? 0 : 4e-6))
    assert.ok(absoluteError(alphasCumprod, floats(table.alphas_cumprod)) <= (isExact ? 0 : 5e-7))
  })
}

test.run()
