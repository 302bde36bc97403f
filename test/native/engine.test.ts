import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Binding, Engine, EngineOp, Workspace } from '../../ts/native/types.ts'
import { addon, bound, codeOf, fixture, fixtureBytes, newEngine, read, slowRun } from '../support/engines.ts'
import { field, initializer, model, node, tensor, value } from '../support/onnx.ts'

const baseline = addon.counters()
const engine = newEngine()
const loads = async (name: string): Promise<number> => (await engine.load({ path: fixture(name) })).session
const stage = (session: number, inputs: Binding[], outputs: Binding[]): EngineOp => ({ kind: 'stage', session, inputs, outputs })

test('a session says what its model declares', async () => {
  const { inputs, outputs } = await engine.load({ path: fixture('add_matmul') })
  const tensor = (name: string, columns: number) => ({ name, type: 'float32', dims: [-1, columns], symbols: ['rows', ''] })
  assert.equal(inputs, [tensor('a', 3), tensor('b', 3)])
  assert.equal(outputs, [tensor('sum', 3), tensor('product', 2)])
  assert.match(engine.version, /^1\.\d+\.\d+/)
})

test('results, with as many rows as are bound, from the path and from bytes; outputs may be left out', async () => {
  for (const options of [
    { path: fixture('add_matmul') },
    { bytes: fixtureBytes('add_matmul'), threads: 1, memoryArena: false },
  ]) {
    const { session } = await engine.load(options)
    for (const rows of [1, 2, 33]) {
      const workspace = new addon.Workspace()
      const a = bound(
        workspace,
        'a',
        Array.from({ length: 3 * rows }, (_, k) => k),
        [rows, 3],
      )
      const b = bound(
        workspace,
        'b',
        Array.from({ length: 3 * rows }, () => 100),
        [rows, 3],
      )
      const sum = bound(workspace, 'sum', new Float32Array(3 * rows), [rows, 3])
      const product = bound(workspace, 'product', new Float32Array(2 * rows), [rows, 2])
      const ms = await engine.run(workspace, [stage(session, [a, b], [sum, product]), stage(session, [b, a], [sum])]).done
      assert.is(ms.length, 2)
      assert.ok(ms.every((each) => each >= 0))
      assert.equal(
        read(workspace, sum),
        read(workspace, a).map((value) => value + 100),
      )
      const row = (k: number): number[] =>
        [0, 1].map((c) => [0, 1, 2].reduce((total, j) => total + (3 * k + j) * (2 * j + c + 1), 0))
      assert.equal(read(workspace, product), Array.from({ length: rows }, (_, k) => row(k)).flat())
    }
  }
})

const large = 2 ** 70
const conversions: [model: string, from: number[], to: number[]][] = [
  ['half', [1, -2.5, 1 / 3, 40000, NaN], [2, -5, 2 * 0.333251953125, Infinity, NaN]],
  ['bfloat', [1, 1 / 3, -Infinity], [1, 0.333984375, -Infinity]],
  ['int64', [1, -2.9, NaN, 2 ** 40], [2, -4, 0, 2 ** 41]],
  ['int32', [1, -2.9, NaN, 2 ** 20], [2, -4, 0, 2 ** 21]],
  ['double', [1.5, -0.25], [3, -0.5]],
  ['bool', [0, 1, -3, NaN], [1, 0, 0, 0]],
]
for (const [model, from, to] of conversions) {
  test(`element type ${model}`, async () => {
    const session = await loads(model)
    const workspace = new addon.Workspace()
    const [x, y] = [bound(workspace, 'x', from), bound(workspace, 'y', from)]
    for (let k = 0; k < 2; k++) await engine.run(workspace, [stage(session, [x], [y])]).done
    assert.equal(read(workspace, y), to)
  })
}

test('integers end where their type ends', async () => {
  const session = await loads('bytes')
  const workspace = new addon.Workspace()
  const values = [0, 1.9, -0.9, 127, 128, 255, 256, -128, -129, large, -large, Infinity, -Infinity, NaN]
  const [u, i, v, j] = ['u', 'i', 'v', 'j'].map((name) => bound(workspace, name, values))
  await engine.run(workspace, [stage(session, [u, i], [v, j])]).done
  const clamp = (low: number, high: number) => values.map((value) => Math.trunc(Math.min(high, Math.max(low, value || 0))) + 0)
  assert.equal(read(workspace, v), clamp(0, 255))
  assert.equal(read(workspace, j), clamp(-128, 127))
})

test('names, shapes and types that the model does not have: IO_MISMATCH', async () => {
  const session = await loads('add_matmul')
  const workspace = new addon.Workspace()
  const six = (name: string, dims: number[]): Binding => bound(workspace, name, new Float32Array(6), dims)
  const [a, b, sum] = ['a', 'b', 'sum'].map((name) => six(name, [2, 3]))
  const refused = async (inputs: Binding[], outputs: Binding[]): Promise<void> => {
    assert.is(await codeOf(engine.run(workspace, [stage(session, inputs, outputs)]).done), 'IO_MISMATCH')
  }
  await refused([a, { ...b, name: 'c' }], [sum])
  await refused([a, b], [{ ...sum, name: 'difference' }])
  await refused([a, { ...b, name: 'sum' }], [sum])
  await refused([a], [sum])
  await refused([a, a], [sum])
  await refused([a, b, { ...b }], [sum])
  await refused([a, b], [sum, { ...sum }])
  await refused([a, six('b', [3, 2])], [sum])
  await refused([a, six('b', [6])], [sum])
  await refused([a, six('b', [1, 2, 3])], [sum])
  await refused([a, b], [six('sum', [3, 2])])
  await refused([a, b], [six('sum', [1, 3])])
  await refused([a, b], [])
  const text = await loads('string')
  const x = bound(workspace, 'x', [1])
  assert.is(await codeOf(engine.run(workspace, [stage(text, [x], [{ ...x, name: 'y' }])]).done), 'IO_MISMATCH')
  assert.is(await codeOf(engine.run(workspace, [stage(session, [a, b], [sum])]).done), 'resolved')
})

test('a dimension of 0', async () => {
  const session = await loads('int64')
  const workspace = new addon.Workspace()
  const [x, y] = ['x', 'y'].map((name) => bound(workspace, name, []))
  assert.is(await codeOf(engine.run(workspace, [stage(session, [x], [y])]).done), 'resolved')
})

test('wrong arguments of load and run are named', async () => {
  const workspace = new addon.Workspace()
  const refused = (call: () => unknown, code = 'INVALID_ARGUMENT'): void => {
    assert.throws(call, (error: { code?: string }) => error.code === code)
  }
  for (const options of [
    undefined,
    {},
    { path: 5 },
    { path: '' },
    { path: 'a\0b' },
    { bytes: [1] },
    { bytes: new Uint16Array(2) },
  ]) {
    refused(() => engine.load(options as never))
  }
  for (const threads of [-1, 0.5, NaN, 5000, '2'])
    refused(() => engine.load({ path: fixture('half'), threads: threads as number }))
  const x = bound(workspace, 'x', [1, 2])
  const other = Object.setPrototypeOf({}, addon.Workspace.prototype)
  const impostor = Object.setPrototypeOf(newEngine(), addon.Workspace.prototype)
  for (const wrong of [undefined, {}, engine, other, impostor]) refused(() => engine.run(wrong as Workspace, []))
  for (const ops of [undefined, {}, [undefined], [{}], [{ kind: 'sing' }], [{ kind: 'stage' }]])
    refused(() => engine.run(workspace, ops as never))
  for (const change of [
    { dims: [3] },
    { dims: [-1] },
    { dims: [NaN] },
    { dims: [2 ** 30, 2 ** 30] },
    { tensor: 7 },
    { offset: 1 },
    { name: 3 },
  ]) {
    refused(() => engine.run(workspace, [stage(0, [{ ...x, ...change } as Binding], [])]))
  }
  assert.is(await codeOf(engine.run(workspace, [stage(99, [x], [])]).done), 'INVALID_ARGUMENT')
  const gone = new addon.Workspace()
  gone.dispose()
  refused(() => engine.run(gone, []), 'DISPOSED')
  refused(() => new addon.Engine({} as never))
  refused(() => new addon.Engine(undefined as never))
  const { load, run, dispose } = addon.Engine.prototype
  for (const method of [load, run, dispose] as Function[]) assert.throws(() => method.call(workspace, {}, []))
  // An accessor would be called with any receiver.
  assert.equal(
    Object.values(Object.getOwnPropertyDescriptors(addon.Engine.prototype)).filter(({ get }) => get),
    [],
  )
  await addon.Engine.prototype.dispose.call(impostor)
})

test('no such file; bytes that are no model', async () => {
  assert.is(await codeOf(engine.load({ path: fixture('absent') })), 'MODEL_NOT_FOUND')
  assert.is(await codeOf(engine.load({ bytes: Uint8Array.of(1, 2, 3) })), 'MODEL_CORRUPT')
  assert.throws(
    () => engine.load({ bytes: new Uint8Array(0) }),
    (error: { code?: string }) => error.code === 'MODEL_CORRUPT',
  )
})

test('bfloat16, which the CPU has no kernels for, is no damage: UNSUPPORTED, with what to do', async () => {
  const bfloat16 = 16
  for (const operator of ['MatMul', 'Conv']) {
    const [x, y] = [value(11, 'x', [1, 1, 4, 4], bfloat16), value(12, 'y', [1, 1, 4, 4], bfloat16)]
    const weights = initializer(tensor('w', [1, 1, 1, 1], field(9, Uint8Array.of(0x80, 0x3f)), bfloat16))
    const parts = [node(operator, { inputs: operator === 'Conv' ? ['x', 'w'] : ['x', 'x'], outputs: ['y'] }), weights, x, y]
    const error = await engine.load({ bytes: model(parts) }).catch((e: unknown) => e)
    const { code, message } = error as { code?: string; message: string }
    assert.is(code, 'UNSUPPORTED', message)
    assert.match(message, new RegExp(`export the model in fp32 or fp16.*${operator}`, 's'))
  }
})

test('abort while running and while waiting: both end within half a second, in order of their ends', async () => {
  const workspace = new addon.Workspace()
  const slow = await slowRun(engine, workspace, 10_000_000)
  const [running, waiting, last] = [slow(), slow(), slow()]
  const ends: string[] = []
  running.done.catch(() => ends.push('running'))
  waiting.done.catch(() => ends.push('waiting'))
  await new Promise((resolve) => setTimeout(resolve, 100))
  let begin = performance.now()
  waiting.abort()
  assert.is(await codeOf(waiting.done), 'ABORTED')
  assert.ok(performance.now() - begin < 500)
  begin = performance.now()
  running.abort()
  running.abort()
  assert.is(await codeOf(running.done), 'ABORTED')
  assert.ok(performance.now() - begin < 500)
  assert.equal(ends, ['waiting', 'running'])
  last.abort()
  assert.is(await codeOf(last.done), 'ABORTED')
  last.abort()
})

test('beyond 1024 waiting jobs: QUEUE_FULL; the others end, and dispose works on a full queue', async () => {
  const own = newEngine()
  const workspace = new addon.Workspace()
  const slow = await slowRun(own, workspace, 10_000_000)
  const jobs = [slow()]
  await new Promise((resolve) => setTimeout(resolve, 50))
  for (let k = 0; k < 1024; k++) jobs.push(own.run(workspace, []))
  for (let k = 0; k < 3; k++)
    assert.throws(
      () => slow(),
      (error: { code?: string }) => error.code === 'QUEUE_FULL',
    )
  jobs[1].abort()
  jobs.push(own.run(workspace, []))
  assert.is(await codeOf(jobs[1].done), 'ABORTED')
  const codes = Promise.all(jobs.map(({ done }) => codeOf(done)))
  await own.dispose()
  assert.equal([...new Set(await codes)], ['ABORTED'])
})

type Method = 'load' | 'run' | 'dispose' | 'version'
const use: Record<Method, (engine: Engine, workspace: Workspace) => unknown> = {
  load: (each) => each.load({ path: fixture('half') }),
  run: (each, workspace) => each.run(workspace, []).done,
  dispose: (each) => each.dispose(),
  version: (each) => each.version,
}
for (const state of ['idle', 'running', 'disposing', 'disposed'] as const) {
  for (const method of Object.keys(use) as Method[]) {
    test(`${method} of an engine that is ${state}`, async () => {
      const own = newEngine()
      const workspace = new addon.Workspace()
      const slow = await slowRun(own, workspace, state === 'running' || state === 'disposing' ? 10_000_000 : 1)
      const job = state === 'idle' ? undefined : slow()
      const end = job && codeOf(job.done)
      const disposal = state === 'disposing' || state === 'disposed' ? own.dispose() : undefined
      if (state === 'disposed') await disposal
      if (disposal && (method === 'load' || method === 'run')) {
        assert.throws(
          () => use[method](own, workspace),
          (error: { code?: string }) => error.code === 'DISPOSED',
        )
      } else {
        const outcome = Promise.resolve(use[method](own, workspace))
        if (state === 'running' && method !== 'dispose') setTimeout(() => job!.abort(), 20)
        await outcome
      }
      await Promise.all([own.dispose(), own.dispose(), end])
      if (state === 'running' || state === 'disposing') assert.is(await end, 'ABORTED')
    })
  }
}

test('100 runs at once give what one gives', async () => {
  const session = await loads('add_matmul')
  const workspaces = Array.from({ length: 100 }, () => new addon.Workspace())
  const sums = await Promise.all(
    workspaces.map(async (workspace, k) => {
      const [a, b, sum] = ['a', 'b', 'sum'].map((name) => bound(workspace, name, [k, 1, 2], [1, 3]))
      await engine.run(workspace, [stage(session, [a, b], [sum])]).done
      return read(workspace, sum)
    }),
  )
  sums.forEach((sum, k) => assert.equal(sum, [2 * k, 2, 4]))
})

test('a job is gone once its promise has settled', async () => {
  const session = await loads('add_matmul')
  const workspace = new addon.Workspace()
  const [a, b, sum] = ['a', 'b', 'sum'].map((name) => bound(workspace, name, [0, 1, 2], [1, 3]))
  const { jobs } = addon.counters()
  for (let k = 0; k < 5000; k++) {
    await engine.run(workspace, [stage(session, [a, b], [sum])]).done
    assert.is(addon.counters().jobs, jobs)
  }
})

test('after everything the counters are back where they were', async () => {
  await engine.dispose()
  const { engines, sessions, jobs } = addon.counters()
  assert.equal({ engines, sessions, jobs }, { engines: baseline.engines, sessions: baseline.sessions, jobs: baseline.jobs })
})

test.run()
