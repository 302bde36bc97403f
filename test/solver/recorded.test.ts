import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createSolver } from '../../ts/solver/solver.ts'
import type { Row } from '../../ts/solver/row.ts'
import { floats, mixtureOutput } from '../support/mixture.ts'
import {
  absoluteError,
  isRescaled,
  recordedGrids,
  recordedRuns,
  scheduleOfGrid,
  scheduleOfRun,
  type RecordedRun,
} from '../support/schedulers.ts'

// Reasons for the tolerances: test/fixtures/schedulers/README.md.

/** Where the first level is so high that float32 has few digits left after one step: [any state, the last state]. */
const looseRuns: Readonly<Record<string, readonly [number, number]>> = { 'euler-03': [2e-4, 2.5e-5], 'euler-07': [1e-3, 3e-4] }

type Buffers = Readonly<Record<string, ArrayLike<number>>>

function apply(row: Row, buffers: Buffers): Float64Array {
  const length = buffers.x.length
  return Float64Array.from({ length }, (_, d) => Object.keys(row).reduce((sum, name) => sum + row[name] * buffers[name][d], 0))
}

function replay(run: RecordedRun): { firstOutput: Float32Array; states: Map<number, Float64Array> } {
  const schedule = scheduleOfRun(run)
  const solver = createSolver(schedule)
  const outputs: Float32Array[] = []
  const states = new Map<number, Float64Array>()
  let x: Float64Array = Float64Array.from(floats(run.noise), (value) => value * schedule.initNoiseSigma)
  let x0Prev = x
  for (let i = 0; i < schedule.steps; i++) {
    const sample = Float32Array.from(x, (value) => value * solver.inputScale(i))
    outputs.push(mixtureOutput(sample, schedule.levels[i], schedule.timesteps[i], { prediction: schedule.prediction }))
    const x0 = apply(solver.denoised(i), { x, output: outputs[i] })
    x = apply(solver.update(i), { x, x0, x0Prev })
    x0Prev = x0
    states.set(
      i + 1,
      x.map((value) => value * solver.inputScale(i + 1)),
    )
  }
  return { firstOutput: outputs[0], states }
}

for (const run of recordedRuns) {
  test(`${run.case}: every recorded state of diffusers' run, in the variance-preserving frame`, () => {
    const { firstOutput, states } = replay(run)
    const solver = createSolver(scheduleOfRun(run))
    assert.ok(absoluteError(firstOutput, floats(run.output_at_step_0)) <= 4e-7)
    const [tolerance, last] = looseRuns[run.case] ?? [1e-5, 1e-5]
    for (const [step, base64] of Object.entries(run.samples)) {
      const expected = floats(base64).map((value) => value * solver.inputScale(Number(step)))
      const error = absoluteError(states.get(Number(step))!, expected)
      assert.ok(error <= (Number(step) === run.steps ? last : tolerance), `step ${step}: ${error}`)
    }
  })
}

/** The made-up network of record.py. */
const madeUpOutput = (i: number): Float32Array => Float32Array.from({ length: 4 }, (_, j) => Math.sin(1 + 3 * i + 7 * j))

test('grids.json: the last state of every short run, whatever the configuration', () => {
  for (const grid of recordedGrids.filter((each) => each.final !== undefined)) {
    const schedule = scheduleOfGrid(grid)
    const solver = createSolver(schedule)
    let x: Float64Array = Float64Array.from({ length: 4 }, (_, j) => Math.fround(Math.cos(2 + 5 * j)) * schedule.initNoiseSigma)
    let x0Prev = x
    for (let i = 0; i < schedule.steps; i++) {
      const x0 = apply(solver.denoised(i), { x, output: madeUpOutput(i) })
      x = apply(solver.update(i), { x, x0, x0Prev })
      x0Prev = x0
    }
    // In the scaled frame diffusers' float32 state has an absolute error that grows with the first level.
    const scale = Math.max(1, ...grid.final!.map(Math.abs), isRescaled(grid) ? 1 : schedule.initNoiseSigma / 20)
    const error = absoluteError(x, grid.final!) / scale
    assert.ok(error <= 2e-6, `${error}: ${JSON.stringify(grid.given ?? grid.text)}`)
  }
})

test.run()
