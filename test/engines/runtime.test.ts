import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'
import type { Binding, Engine, EngineOp, Workspace } from '../../ts/native/types.ts'
import { loadManifest } from '../../ts/plan/model.ts'
import { emulatedGpu } from '../support/emulated-gpu.ts'
import { bound, fixtureBytes, read } from '../support/engines.ts'
import { during } from '../support/environment.ts'
import { hasTensorRtDouble, packEngine, packStage, tensorRtDouble, type DoubleEngine } from '../support/tensorrt-double.ts'
import { failure } from '../support/failure.ts'

/** TensorRT's runtime side, on a double of the library (test/engines/double) and an emulated GPU, against ONNX Runtime on the CPU. */

const MODEL = join(__dirname, '../../models/avatar')
const gpu = { library: emulatedGpu, index: 0 }
const addon = loadAddon()
const stage = (session: number, inputs: Binding[], outputs: Binding[]): EngineOp => ({ kind: 'stage', session, inputs, outputs })
/** [rows, 3] + [rows, 3] and a product with a matrix, [rows, 2]; 1 to 4 rows, and 8 to 16. */
const ADD: DoubleEngine = {
  memory: 4096,
  inputs: ['a', 'b'].map((name) => ({ name, type: 'float32', sizes: [-1, 3] })),
  outputs: [
    { name: 'sum', type: 'float32', sizes: ['a.0', 3] },
    { name: 'product', type: 'float32', sizes: ['a.0', 2] },
  ],
  profiles: [
    [1, 2, 4],
    [8, 8, 16],
  ].map(([smallest, usual, largest]) =>
    ['a', 'b'].map((input) => ({ input, smallest: [smallest, 3], usual: [usual, 3], largest: [largest, 3] })),
  ),
  onnx: fixtureBytes('add_matmul'),
}

/** Adds on an engine; returns the sums. */
async function add(engine: Engine, session: number, rows: number): Promise<number[]> {
  const workspace = new addon.Workspace(gpu)
  try {
    const values = (scale: number): number[] => Array.from({ length: 3 * rows }, (_, k) => k * scale)
    const [a, b] = [bound(workspace, 'a', values(1), [rows, 3]), bound(workspace, 'b', values(10), [rows, 3])]
    const sum = bound(workspace, 'sum', new Float32Array(3 * rows), [rows, 3])
    await engine.run(workspace, [stage(session, [a, b], [sum])]).done
    return read(workspace, sum)
  } finally {
    workspace.dispose()
  }
}
const added = (rows: number): number[] => Array.from({ length: 3 * rows }, (_, k) => k * 11)

if (!hasTensorRtDouble()) {
  test.skip('TensorRT’s runtime on its double', () => {})
} else {
  const open = (): Engine => new addon.Engine({ library: tensorRtDouble, kind: 'tensorrt', gpu })

  test('a session says what its engine declares; outputs may be left out, and there is a profile for every size it was built for', async () => {
    const engine = open()
    assert.is(engine.version, '11.1.0')
    const { session, inputs, outputs } = await engine.load({ bytes: packEngine(ADD) })
    const tensor = (name: string, columns: number) => ({ name, type: 'float32', dims: [-1, columns], symbols: ['', ''] })
    assert.equal(inputs, [tensor('a', 3), tensor('b', 3)])
    assert.equal(outputs, [tensor('sum', 3), tensor('product', 2)])
    for (const rows of [1, 2, 4, 8, 16, 3]) assert.equal(await add(engine, session, rows), added(rows))
    await engine.dispose()
  })

  test('sizes that it was not built for, wrong names and wrong places are refused before anything is enqueued', async () => {
    const engine = open()
    const { session } = await engine.load({ bytes: packEngine(ADD) })
    for (const rows of [5, 7, 17]) {
      const error = await failure(add(engine, session, rows))
      assert.is(error.code, 'IO_MISMATCH')
      assert.match(error.message, `"a" [${rows}, 3], "b" [${rows}, 3]`)
    }
    const workspace = new addon.Workspace(gpu)
    const tensor = (name: string, dims: number[]): Binding => bound(workspace, name, new Float32Array(dims[0] * dims[1]), dims)
    const [a, b, sum] = [tensor('a', [2, 3]), tensor('b', [2, 3]), tensor('sum', [2, 3])]
    const cases: [EngineOp, string | RegExp][] = [
      [stage(session, [a], [sum]), '"b" is not bound'],
      [stage(session, [a, b, a], [sum]), 'twice'],
      [stage(session, [a, b, tensor('c', [2, 3])], [sum]), 'no input named "c"'],
      [stage(session, [a, b], [tensor('total', [2, 3])]), 'no output named "total"'],
      [stage(session, [a, b], [tensor('sum', [1, 3])]), /"sum" the size \[2, 3\], bound is \[1, 3\]/],
      [stage(session, [tensor('a', [2, 4]), b], [sum]), 'was not built for'],
      [stage(session, [{ ...a, dims: [6] }, b], [sum]), 'was not built for'],
    ]
    for (const [op, words] of cases) {
      const error = await failure(engine.run(workspace, [op]).done)
      assert.is(error.code, 'IO_MISMATCH', error.message)
      assert.match(error.message, words)
    }
    const onHost = new addon.Workspace()
    const values = ['a', 'b', 'sum'].map((name) => bound(onHost, name, new Float32Array(6), [2, 3]))
    const error = await failure(engine.run(onHost, [stage(session, values.slice(0, 2), values.slice(2))]).done)
    assert.is(error.code, 'INVALID_ARGUMENT')
    assert.equal(await add(engine, session, 2), added(2))
    await engine.dispose()
  })

  test('an arena that a later engine made larger serves the earlier ones', async () => {
    const engine = open()
    const small = await engine.load({ bytes: packEngine(ADD) })
    assert.equal(await add(engine, small.session, 2), added(2))
    const large = await engine.load({ bytes: packEngine({ ...ADD, memory: 1 << 20 }) })
    const none = await engine.load({ bytes: packEngine({ ...ADD, memory: 0 }) })
    for (const { session } of [large, small, none, large]) {
      for (const rows of [2, 9]) assert.equal(await add(engine, session, rows), added(rows))
    }
    await engine.dispose()
  })

  test('tensors may begin anywhere, also where TensorRT takes no address; what lies around them stays', async () => {
    const engine = open()
    const { session } = await engine.load({ bytes: packEngine(ADD) })
    const workspace = new addon.Workspace(gpu)
    const [inputs, outputs] = [workspace.allocate(200), workspace.allocate(200)]
    const values = Float32Array.from({ length: 200 }, (_, k) => k)
    workspace.write(inputs, 0, values)
    for (const [a, b, to] of [1, 2, 63, 64, 65].flatMap((k) => [[k, 64, 0] as const, [0, k, 64] as const, [64, 0, k] as const])) {
      workspace.write(outputs, 0, new Float32Array(200).fill(-1))
      const at = (name: string, tensor: number, offset: number): Binding => ({ name, tensor, offset, dims: [2, 3] })
      await engine.run(workspace, [stage(session, [at('a', inputs, a), at('b', inputs, b)], [at('sum', outputs, to)])]).done
      const expected = values.map((_, k) => (k >= to && k < to + 6 ? a + b + 2 * (k - to) : -1))
      assert.equal(read(workspace, { name: 'all', tensor: outputs, offset: 0, dims: [200] }), [...expected])
    }
    workspace.dispose()
    await engine.dispose()
  })

  // x → 2·x in each type; expected values of the same conversions as in test/native/engine.test.ts.
  for (const [name, type, from, to] of [
    ['half', 'float16', [1, -2.5, 1 / 3], [2, -5, 2 * 0.333251953125]],
    ['bfloat', 'bfloat16', [1, 1 / 3, -Infinity], [1, 0.333984375, -Infinity]],
    ['int64', 'int64', [1, -2.9, NaN], [2, -4, 0]],
    ['int32', 'int32', [1, -2.9, 2 ** 20], [2, -4, 2 ** 21]],
  ] as const) {
    test(`tensors of ${type} are converted on the way in and out`, async () => {
      const engine = open()
      const cpu = new addon.Engine({ library: findOnnxRuntime() })
      const [x] = (await cpu.load({ bytes: fixtureBytes(name) })).inputs
      const [y] = (await cpu.load({ bytes: fixtureBytes(name) })).outputs
      await cpu.dispose()
      const dims = x.dims.map((n) => (n < 0 ? from.length : n))
      const sizes = dims.map((_, k) => `${x.name}.${k}`)
      const { session } = await engine.load({
        bytes: packEngine({
          memory: 256,
          inputs: [{ name: x.name, type, sizes: x.dims }],
          outputs: [{ name: y.name, type, sizes }],
          profiles: [[{ input: x.name, smallest: dims, usual: dims, largest: dims }]],
          onnx: fixtureBytes(name),
        }),
      })
      const workspace = new addon.Workspace(gpu)
      const [given, result] = [bound(workspace, x.name, [...from], dims), bound(workspace, y.name, new Float32Array(3), dims)]
      for (let k = 0; k < 2; k++) {
        await engine.run(workspace, [stage(session, [given], [result])]).done
        assert.equal(read(workspace, result), [...to])
      }
      await engine.dispose()
    })
  }

  test('a tensor of a type that is not served is refused when the engine is loaded', async () => {
    const engine = open()
    const inputs = ADD.inputs.map((each) => ({ ...each, type: 'float8' }))
    const error = await failure(engine.load({ bytes: packEngine({ ...ADD, inputs }) }))
    assert.is(error.code, 'IO_MISMATCH')
    await engine.dispose()
  })

  test('a failure of any call is an error with its words; the process, the engine and the next run live', async () => {
    const engine = open()
    const ofLoad: [string, string][] = [
      ['createInferRuntime', 'BACKEND_UNAVAILABLE'],
      ['deserialize', 'ENGINE_INCOMPATIBLE'],
      ['createContext', 'NETWORK_FAILED'],
      ['createContext:2', 'NETWORK_FAILED'],
      ['setProfile:2', 'NETWORK_FAILED'],
    ]
    for (const [SADA_DOUBLE_FAIL, code] of ofLoad) {
      const load = (): Promise<SadaError> => failure(engine.load({ bytes: packEngine(ADD) }))
      const error = await during({ SADA_DOUBLE_FAIL }, load)
      assert.is(error.code, code, SADA_DOUBLE_FAIL)
      assert.match(error.message, `asked to fail ${SADA_DOUBLE_FAIL.split(':')[0]}`)
      const memory = { SADA_DOUBLE_FAIL, SADA_DOUBLE_SAYS: 'Error Code 2: OutOfMemory (Requested size was 1 bytes.)' }
      if (code !== 'BACKEND_UNAVAILABLE') assert.is((await during(memory, load)).code, 'OUT_OF_MEMORY')
    }
    // Of CUDA itself: nothing against the engine, which would be deleted.
    for (const words of ['Cuda Runtime (no device)', 'CUDA initialization failure with error: 35', 'cudaError 35']) {
      const says = { SADA_DOUBLE_FAIL: 'deserialize', SADA_DOUBLE_SAYS: words }
      const error = await during(says, () => failure(engine.load({ bytes: packEngine(ADD) })))
      assert.is(error.code, 'BACKEND_UNAVAILABLE', words)
    }
    const { session } = await engine.load({ bytes: packEngine(ADD) })
    for (const call of ['setInputShape:2', 'setInputAddress', 'setOutputAddress:2', 'enqueue']) {
      const error = await during({ SADA_DOUBLE_FAIL: call }, () => failure(add(engine, session, 2)))
      assert.is(error.code, 'NETWORK_FAILED', call)
      assert.match(error.message, 'asked to fail')
      assert.equal(await add(engine, session, 2), added(2))
    }
    await engine.dispose()
  })

  test('bytes that are no engine of this library are ENGINE_INCOMPATIBLE; a file is not taken; nor is another version', async () => {
    const engine = open()
    for (const bytes of [Buffer.from('ftrt'), packEngine(ADD).subarray(0, 40)]) {
      assert.is((await failure(engine.load({ bytes }))).code, 'ENGINE_INCOMPATIBLE')
    }
    assert.is((await failure(engine.load({ path: tensorRtDouble }))).code, 'ENGINE_UNTRUSTED')
    await engine.dispose()
    for (const version of ['90000', '101600', '120000']) {
      try {
        await during({ SADA_DOUBLE_VERSION: version }, () => Promise.resolve(open()))
        assert.unreachable()
      } catch (error) {
        assert.is((error as SadaError).code, 'BACKEND_UNAVAILABLE')
        assert.match((error as SadaError).message, 'TensorRT 11, whose headers')
      }
    }
  })

  test('a GPU that is not there, or not the engine’s, is refused', async () => {
    const engine = new addon.Engine({ library: tensorRtDouble, kind: 'tensorrt', gpu: { ...gpu, index: 7 } })
    const error = await failure(engine.load({ bytes: packEngine(ADD) }))
    assert.ok(['BACKEND_UNAVAILABLE', 'INTERNAL'].includes(error.code), error.code)
    await engine.dispose()
  })

  test('every stage of the bundled model gives the bits of the CPU, in every bucket of tokens', async () => {
    const manifest = await loadManifest(MODEL)
    const cpu = new addon.Engine({ library: findOnnxRuntime() })
    const engine = open()
    for (const each of manifest.stages) {
      const bytes = packStage(MODEL, manifest, each)
      const sessions = [(await cpu.load({ path: join(MODEL, each.file) })).session, (await engine.load({ bytes })).session]
      const counts = each.kind === 'tokens' ? [16, 32, 48, 64] : [64]
      for (const tokens of counts) {
        for (const rows of [1, 2, 6]) {
          const dims = (name: string): number[] =>
            manifest.tensors[name].map((n) => (n === 'rows' ? rows : n === 'tokens' ? tokens : n))
          const length = (name: string): number => dims(name).reduce((product, n) => product * n, 1)
          const results = []
          for (const [k, one] of [cpu, engine].entries()) {
            const workspace: Workspace = new addon.Workspace(k === 1 ? gpu : undefined)
            const filled = (name: string): Binding =>
              bound(
                workspace,
                name,
                Float32Array.from({ length: length(name) }, (_, j) => Math.sin(j * 0.7 + rows)),
                dims(name),
              )
            const empty = (name: string): Binding => bound(workspace, name, new Float32Array(length(name)), dims(name))
            const outputs = each.outputs.map(empty)
            await one.run(workspace, [stage(sessions[k], each.inputs.map(filled), outputs)]).done
            results.push(outputs.map((output) => read(workspace, output)))
            workspace.dispose()
          }
          assert.equal(results[1], results[0])
          assert.ok(results[0].flat().some((value) => value !== 0))
        }
      }
    }
    await engine.dispose()
    await cpu.dispose()
  })

  test('a GPU that is lost during a run is DEVICE_LOST', async () => {
    const engine = open()
    const { session } = await engine.load({ bytes: packEngine(ADD) })
    // The emulation forgets the loss with this setting; no launch of a kernel counts up to it.
    const fault = { SADA_DOUBLE_FAIL: 'execute', SADA_EMULATED_LOST_AFTER: '1000000000' }
    const error = await during(fault, () => failure(add(engine, session, 2)))
    assert.is(error.code, 'DEVICE_LOST')
    assert.equal(await add(engine, session, 2), added(2))
    await engine.dispose()
  })

  test('nothing is left: sessions, engines, tensors, memory', async () => {
    const before = addon.counters()
    const engine = open()
    const free = async (): Promise<number> => (await addon.gpus(emulatedGpu)).gpus[0].freeBytes
    const freeBefore = await free()
    for (let k = 0; k < 3; k++) await engine.load({ bytes: packEngine({ ...ADD, memory: 1 << 28 }) })
    assert.is(addon.counters().sessions, before.sessions + 3)
    assert.ok(freeBefore - (await free()) >= 1 << 28)
    await engine.dispose()
    // At once: `engine` is still held, and the garbage collector did not come.
    assert.is(await free(), freeBefore)
    assert.throws(() => engine.load({ bytes: packEngine(ADD) }), /has been disposed/)
    const after = addon.counters()
    assert.is(after.sessions, before.sessions)
    assert.is(after.engines, before.engines)
    assert.is(after.bytes, before.bytes)
  })
}

test.run()
