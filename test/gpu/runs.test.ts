import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaRun, Workspace } from '../../ts/native/types.ts'
import { hasEmulatedGpu } from '../support/emulated-gpu.ts'
import { codeOf } from '../support/engines.ts'
import { during } from '../support/environment.ts'
import { addon, encode, newEngine, onEmulatedGpu, requestIn, type Program } from '../support/sada-run.ts'

/** Workspaces and runs on an emulated GPU, as the addon has them: what fails leaves them usable, and what is wrong is refused. */

const slice = (tensor: number) => ({ tensor, offset: 0 })

/** A step that sums `length` elements; with token means it takes more scratch memory. */
function sumOf(workspace: Workspace, tensor: number, length: number, means?: number) {
  const member = { inputs: [slice(tensor)], rows: [{ inputs: [0], weights: [1] }], sums: [{ a: 0 }] }
  const layout = { order: 'tokens', channels: 1, grid: [length, 1], patch: [1, 1] } as const
  const tokens = means === undefined ? undefined : { sum: 0, layout, store: slice(means) }
  return (async () => workspace.step(length, [{ ...member, tokens }]))()
}

if (!hasEmulatedGpu()) {
  test.skip('runs on an emulated GPU', () => {})
} else {
  test('a step whose scratch memory does not fit is OUT_OF_MEMORY; smaller ones go on, and the counters have what there is', async () => {
    const before = addon.counters()
    const workspace = onEmulatedGpu()
    const [values, means] = [workspace.allocate(32768), workspace.allocate(32768)]
    workspace.write(values, 0, Float32Array.of(1, -2))
    assert.equal([...(await sumOf(workspace, values, 1024))], [3])
    const { scratchBytes } = addon.counters()
    await during({ SADA_EMULATED_MEMORY: '300000' }, async () => {
      assert.is(await codeOf(sumOf(workspace, values, 32768, means)), 'OUT_OF_MEMORY')
      assert.is(addon.counters().scratchBytes, before.scratchBytes, 'the old scratch memory is gone')
      assert.equal([...(await sumOf(workspace, values, 1024))], [3])
      assert.is(addon.counters().scratchBytes, scratchBytes)
    })
    workspace.dispose()
    assert.is(addon.counters().scratchBytes, before.scratchBytes)
  })

  const report = async (run: SadaRun, step: number): Promise<number[]> => [...(await run.advance(step).done)]

  test('steps of more elements between those of a run change nothing of it', async () => {
    const reports: number[][] = []
    for (const isLarger of [false, true]) {
      const workspace = onEmulatedGpu()
      const engine = newEngine()
      const run = engine.sample(workspace, requestIn(workspace, 8192, encode({ steps: 8 })))
      await report(run, 3)
      const large = workspace.allocate(1 << 20)
      if (isLarger) await sumOf(workspace, large, 1 << 20)
      reports.push(await report(run, 8))
      await engine.dispose()
    }
    assert.is(reports[0][0], 8)
    assert.equal(reports[1], reports[0])
  })

  test('a run ends with its last step, however many are asked for', async () => {
    const workspace = onEmulatedGpu()
    const engine = newEngine()
    const run = engine.sample(workspace, requestIn(workspace, 64, encode({ steps: 6 })))
    const job = run.advance(7)
    const late = setTimeout(() => job.abort(), 10_000)
    assert.is((await job.done)[0], 6)
    clearTimeout(late)
    assert.is((await report(run, 1000))[0], 6)
    await engine.dispose()
  })

  const refused: [what: string, program: Partial<Program>][] = [
    ['an output over the state', { output: { x: 1 } }],
    ['an output over what is not given', { output: { cond: 1, uncond: 1 } }],
    ['a clean sample over itself', { denoised: () => ({ x0: 1 }) }],
    ['a clean sample over what is remembered', { denoised: () => ({ output: 1, x0Newest: 1 }) }],
    ['an update over the network’s output, which a skip has not', { update: { x: 1, output: 1 } }],
    ['an update over its own result', { update: { next: 1 } }],
    ['a velocity over itself', { velocity: { y: 1 } }],
    ['a velocity over an answer that is not given', { velocity: { uncond: 1 } }],
    ['rows of the level after the last step', { last: { x: 1 } }],
  ]
  for (const [what, program] of refused) {
    test(`${what} is refused`, async () => {
      const workspace = onEmulatedGpu()
      const engine = newEngine()
      const sample = async () => engine.sample(workspace, requestIn(workspace, 64, encode({ steps: 6, ...program })))
      assert.is(await codeOf(sample()), 'INVALID_ARGUMENT')
      await engine.dispose()
    })
  }

  test('a run that did not start for lack of memory starts when there is some, with the page-locked memory of one', async () => {
    const workspace = onEmulatedGpu()
    const engine = newEngine()
    const request = requestIn(workspace, 64, encode({ steps: 500 }))
    // A step of the same length first: the run finds its scratch memory there.
    await sumOf(workspace, request.buffers[0].tensor as number, 64)
    const run = engine.sample(workspace, request)
    // The report of one run is 12 kB.
    await during({ SADA_EMULATED_PINNED: '20000' }, async () => {
      for (let k = 0; k < 3; k++) {
        assert.is(await during({ SADA_EMULATED_MEMORY: '1' }, () => codeOf(run.advance(6).done)), 'OUT_OF_MEMORY')
      }
      assert.is((await report(run, 6))[0], 6)
    })
    await engine.dispose()
  })

  test('an engine lives as long as it can be asked to advance a run', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const workspace = onEmulatedGpu()
    const { engines } = addon.counters()
    const advances = Array.from({ length: 8 }, () => {
      const { advance } = newEngine().sample(workspace, requestIn(workspace, 64, encode({ steps: 6 })))
      return advance
    })
    for (let k = 0; k < 10; k++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    assert.is(addon.counters().engines, engines + 8)
    for (const advance of advances) assert.is((await advance(6).done)[0], 6)
  })
}

test.run()
