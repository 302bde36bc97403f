import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'
import type { SadaError } from '../../ts/errors.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { newEngine, fixture } from '../support/engines.ts'

/** Tensors in half precision, and workspaces that are made from a plan. */

const addon = loadAddon()
const calls = { length: 0, members: 0, tokenLength: 0, indices: 0 }
const failure = (call: () => unknown): SadaError => {
  try {
    call()
  } catch (error) {
    return error as SadaError
  }
  return assert.unreachable() as never
}

for (const storage of ['float16', 'bfloat16'] as const) {
  test(`${storage}: what is written is rounded as by convert, and steps compute on what is stored`, async () => {
    for (const length of [1, 31, 1023, 1024, 1025, 4097]) {
      const workspace = new addon.Workspace()
      const rounded = (values: Float32Array): Float32Array => {
        const [halves, floats] = [new Uint16Array(values.length), new Float32Array(values.length)]
        addon.convert(values, halves, storage)
        addon.convert(halves, floats, storage)
        return floats
      }
      const given = new TorchGenerator(length).randn(length)
      const [half, full, kept] = [
        workspace.allocate(length, storage),
        workspace.allocate(length),
        workspace.allocate(length, storage),
      ]
      workspace.write(half, 0, given)
      workspace.write(full, 0, rounded(given))
      const read = (tensor: number): Float32Array => {
        const values = new Float32Array(length)
        workspace.read(tensor, 0, values)
        return values
      }
      assert.equal(read(half), rounded(given))
      const step = (input: number, store: number) => {
        const rows = [{ inputs: [0], weights: [1 / 3], store: { tensor: store, offset: 0 } }]
        return workspace.step(length, [{ inputs: [{ tensor: input, offset: 0 }], rows, sums: [{ a: 0 }] }])
      }
      const sums = await step(half, kept)
      const wanted = await step(full, full)
      assert.equal(sums, wanted)
      assert.equal(read(kept), rounded(read(full)))
      await step(half, half) // in place
      assert.equal(read(half), read(kept))
      workspace.dispose()
    }
  })
}

test('a workspace made from a plan hands its tensors out in order, and nothing else', () => {
  const before = addon.counters()
  const tensors = [
    { length: 100, storage: 'float32' },
    { length: 7, storage: 'float16' },
  ] as const
  const workspace = new addon.Workspace(undefined, { tensors, calls })
  const made = addon.counters()
  assert.equal([made.tensors - before.tensors, made.bytes - before.bytes], [2, 512 + 256])
  assert.is(failure(() => workspace.allocate(100, 'float16')).code, 'INTERNAL')
  assert.is(workspace.allocate(100), 0)
  assert.match(failure(() => workspace.allocate(8, 'float16')).message, 'where 7 of float16 were planned')
  assert.is(workspace.allocate(7, 'float16'), 1)
  assert.match(failure(() => workspace.allocate(7, 'float16')).message, 'no more were planned')
  assert.equal(addon.counters().bytes, made.bytes)
  workspace.dispose()
})

test('storages and plans that are none are refused', () => {
  const workspace = new addon.Workspace()
  const refused = (call: () => unknown, said: RegExp): void => {
    const { code, message } = failure(call)
    assert.is(code, 'INVALID_ARGUMENT')
    assert.match(message, said)
  }
  refused(() => workspace.allocate(1, 'float8' as 'float16'), /"storage".*"bfloat16"/)
  const made = (plan: unknown) => () => new addon.Workspace(undefined, plan as never)
  refused(made({ calls }), /"tensors"/)
  refused(made({ tensors: [{ length: -1, storage: 'float32' }], calls }), /"length".*-1/)
  refused(made({ tensors: [{ length: 1, storage: 1 }], calls }), /"storage"/)
  refused(made({ tensors: [] }), /"calls"/)
  const tensors = [{ length: 2 ** 40, storage: 'float32' }] as const
  assert.is(failure(made({ tensors, calls })).code, 'OUT_OF_MEMORY')
  workspace.dispose()
})

test('the engine takes float32 alone, and says so', async () => {
  const engine = newEngine()
  const { session } = await engine.load({ path: fixture('half'), threads: 1 })
  const workspace = new addon.Workspace()
  const [x, y] = [workspace.allocate(4, 'float16'), workspace.allocate(4)]
  const bound = (name: string, tensor: number) => ({ name, tensor, offset: 0, dims: [4] })
  const stage = { kind: 'stage' as const, session, inputs: [bound('x', x)], outputs: [bound('y', y)] }
  const refusal = failure(() => engine.run(workspace, [stage]))
  assert.is(refusal.code, 'INVALID_ARGUMENT')
  assert.match(refusal.message, 'tensor 0 to be of float32')
  workspace.dispose()
  await engine.dispose()
})

test.run()
