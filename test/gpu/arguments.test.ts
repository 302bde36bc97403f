import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { addon, newEngine } from '../support/engines.ts'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'

/** What the addon is told of runs on a GPU (emulated): lists that change while they are read, numbers that do not go together. */

if (!hasEmulatedGpu()) {
  test.skip('arguments of runs on an emulated GPU', () => {})
} else {
  const gpu = { library: emulatedGpu, index: 0 }

  // One step of Euler's method; of the level after it there is no more than that.
  const level = (...rows: number[]): number[] => [0.5, 1, 1, 0.5, ...rows, 1, 0]
  const program = Float64Array.of(0.1, 1, 1, 0.5, 0, 0, 0, 3, 1, 7, 1, 1, ...level(0, 0, 0), ...level(0, 0, 0))

  for (const grown of ['buffers', 'samples'] as const) {
    test(`a run's "${grown}" that become longer while they are read`, async () => {
      const engine = newEngine()
      const workspace = new addon.Workspace(gpu)
      const slice = { tensor: workspace.allocate(8), offset: 0 }
      const lists = { buffers: Array(10).fill(slice), samples: [slice] }
      Object.defineProperty(lists.buffers, 0, {
        get: () => {
          for (let k = 0; lists[grown].length < 1000; k++) lists[grown].push(slice)
          return slice
        },
      })
      const pass = [{ kind: 'copy', from: slice, to: slice, length: 8 }] as const
      const run = engine.sample(workspace, { ...lists, length: 8, level: slice, cond: slice, program, pass })
      assert.type(run.advance, 'function')
      workspace.dispose()
      await engine.dispose()
    })
  }

  test('a pass that moves tokens by indices that other passes may replace', async () => {
    const engine = newEngine()
    const workspace = new addon.Workspace(gpu)
    const [slice, other] = [8, 8].map((length) => ({ tensor: workspace.allocate(length), offset: 0 }))
    const move = { from: slice, to: other, rows: 1, tokens: 4, channels: 2, order: 'tokens', indices: Int32Array.of(1) } as const
    const run = { buffers: Array(10).fill(slice), samples: [slice], length: 8, level: slice, cond: slice, program }
    assert.throws(() => engine.sample(workspace, { ...run, pass: [{ kind: 'gather', ...move }] }), /"pass".* to move no tokens/)
    workspace.dispose()
    await engine.dispose()
  })

  test('members and indices whose product is beyond all memory', () => {
    const calls = { length: 1, members: 2 ** 30, tokenLength: 0, indices: 2 ** 31 }
    for (const call of [() => addon.gpuScratch(emulatedGpu, calls), () => new addon.Workspace(gpu, { tensors: [], calls })]) {
      assert.throws(
        call,
        (error: Error & { code?: string }) => error.code === 'INVALID_ARGUMENT' && error.message.includes('2^40'),
      )
    }
  })
}

test('a library whose path holds a NUL character is not the one that its beginning names', () => {
  const library = `${emulatedGpu}\0/elsewhere.so`
  const calls = { length: 1, members: 1, tokenLength: 0, indices: 0 }
  for (const call of [() => addon.gpus(library), () => addon.gpuScratch(library, calls)]) {
    assert.throws(call, (error: Error & { code?: string }) => error.code === 'INVALID_ARGUMENT' && error.message.includes('NUL'))
  }
})

test.run()
