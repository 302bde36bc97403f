import { cpSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type SadaError } from '../../ts/index.ts'
import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'
import type { Binding, Engine, EngineOp, Workspace } from '../../ts/native/types.ts'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'
import { bound, fixtureBytes, read } from '../support/engines.ts'
import { familyFolder, optionsOf, recordedCases } from '../support/families.ts'
import { during } from '../support/environment.ts'
import { failure } from '../support/failure.ts'

/** ONNX Runtime's CUDA provider, on a double of a GPU build (test/engines/onnxruntime-double). */

const DOUBLE = join(__dirname, '../../build', 'onnxruntime-double', 'libonnxruntime.so.1')
const addon = loadAddon()
const gpu = { library: emulatedGpu, index: 0 }

if (!hasEmulatedGpu() || !existsSync(DOUBLE)) {
  test.skip('the CUDA provider on its double', () => {})
  console.log(`SKIPPED the CUDA provider: ${DOUBLE} is not built; "node scripts/build-onnxruntime-double.mjs" builds it.`)
} else {
  process.env.SADA_ORT_DOUBLE_REAL = findOnnxRuntime()
  const notes = join(mkdtempSync(join(tmpdir(), 'sada-ort-')), 'notes')
  Object.assign(process.env, { SADA_CUDA_PATH: emulatedGpu, SADA_ORT_DOUBLE_NOTES: notes, SADA_ORT_DOUBLE_GPU: emulatedGpu })
  const open = (): Engine => new addon.Engine({ library: DOUBLE, kind: 'onnxruntime', gpu })
  const noted = (): string[] => readFileSync(notes, 'utf8').trim().split('\n')

  /** Runs a fixture with one input of 4 values; its output. */
  async function runFixture(engine: Engine, session: number, input: string, output: string): Promise<number[]> {
    const workspace = new addon.Workspace(gpu)
    try {
      const x = bound(workspace, input, [1, -2, 3, 0])
      const y = bound(workspace, output, new Float32Array(4))
      await engine.run(workspace, [{ kind: 'stage', session, inputs: [x], outputs: [y] }]).done
      return read(workspace, y)
    } finally {
      workspace.dispose()
    }
  }

  /** [2, 3] + [2, 3] on an engine. */
  async function add(engine: Engine, session: number, change: (a: Binding) => Binding = (a) => a): Promise<number[]> {
    const workspace = new addon.Workspace(gpu)
    try {
      const values = (scale: number): number[] => Array.from({ length: 6 }, (_, k) => k * scale)
      const [a, b] = [bound(workspace, 'a', values(1), [2, 3]), bound(workspace, 'b', values(10), [2, 3])]
      const sum = bound(workspace, 'sum', new Float32Array(6), [2, 3])
      await engine.run(workspace, [{ kind: 'stage', session, inputs: [change(a), b], outputs: [sum] }]).done
      return read(workspace, sum)
    } finally {
      workspace.dispose()
    }
  }
  const SUMS = Array.from({ length: 6 }, (_, k) => k * 11)

  test('the provider is added with the GPU and a stream of ours, tensors are bound where the workspace has them', async () => {
    writeFileSync(notes, '')
    const engine = open()
    const { session, inputs } = await engine.load({ bytes: fixtureBytes('add_matmul') })
    assert.equal(
      inputs.map(({ name }) => name),
      ['a', 'b'],
    )
    assert.equal(noted(), [
      'CreateMemoryInfo Cuda 0',
      'option device_id=0',
      'option arena_extend_strategy=kSameAsRequested',
      'option user_compute_stream=pointer',
      'provider',
      'options alive 0',
    ])
    writeFileSync(notes, '')
    assert.equal(await add(engine, session), SUMS)
    assert.equal(noted(), [
      'value type 1 on Cuda',
      'input a',
      'value type 1 on Cuda',
      'input b',
      'value type 1 on Cuda',
      'output sum',
      'run',
    ])
    await engine.dispose()
  })

  test('types: half precision is converted on the GPU, whole numbers go by the host', async () => {
    const engine = open()
    for (const [fixture, place] of [
      ['half', 'value type 10 on Cuda'],
      ['int64', 'value type 7 on Cpu'],
    ]) {
      const { session, inputs, outputs } = await engine.load({ bytes: fixtureBytes(fixture) })
      writeFileSync(notes, '')
      const onGpu = await runFixture(engine, session, inputs[0].name, outputs[0].name)
      assert.ok(noted().includes(place), noted().join(', '))
      const onCpu = new addon.Engine({ library: findOnnxRuntime() })
      const workspace = new addon.Workspace()
      const plain = await onCpu.load({ bytes: fixtureBytes(fixture) })
      const [x, y] = [bound(workspace, inputs[0].name, [1, -2, 3, 0]), bound(workspace, outputs[0].name, new Float32Array(4))]
      await onCpu.run(workspace, [{ kind: 'stage', session: plain.session, inputs: [x], outputs: [y] }]).done
      assert.equal(onGpu, read(workspace, y))
      workspace.dispose()
      await onCpu.dispose()
    }
    await engine.dispose()
  })

  const LOADING = [
    'CreateMemoryInfo',
    'CreateCUDAProviderOptions',
    'UpdateCUDAProviderOptions',
    'UpdateCUDAProviderOptionsWithValue',
    'SessionOptionsAppendExecutionProvider_CUDA_V2',
    'CreateSessionFromArray', // where the provider first asks for cuBLAS and cuDNN
  ]
  const RUNNING: [string, string][] = [
    ['CreateIoBinding', 'INTERNAL'],
    ['CreateTensorWithDataAsOrtValue:2', 'IO_MISMATCH'],
    ['BindInput:2', 'IO_MISMATCH'],
    ['BindOutput', 'IO_MISMATCH'],
    ['RunWithBinding', 'NETWORK_FAILED'],
  ]
  /** What the library says where there is no memory, and where no more threads may be started. */
  const SYSTEM = [
    'Failed to allocate memory for requested buffer',
    'Failed to load model with error: std::bad_alloc',
    'CUDA failure 2: out of memory',
    'CUBLAS_STATUS_ALLOC_FAILED',
    'env.cc:251 PosixThread pthread_create failed, error code: 11',
  ]
  const failedLoad = (engine: Engine): Promise<SadaError> => failure(engine.load({ bytes: fixtureBytes('add_matmul') }))
  const withFault = async <T>(fault: string, says: string, work: () => Promise<T>): Promise<T> => {
    Object.assign(process.env, { SADA_ORT_DOUBLE_FAIL: fault, SADA_ORT_DOUBLE_SAYS: says })
    try {
      return await work()
    } finally {
      for (const name of ['FAIL', 'SAYS']) Reflect.deleteProperty(process.env, `SADA_ORT_DOUBLE_${name}`)
    }
  }

  test('a failure of any call is typed, leaves nothing behind, and the next call works', async () => {
    for (const fault of LOADING) {
      const engine = open()
      const error = await withFault(fault, 'CUDNN was asked to fail ; GPU=0 ; …', () => failedLoad(engine))
      assert.is(error.code, 'BACKEND_UNAVAILABLE', fault)
      assert.match(error.message, 'asked to fail')
      const { session } = await engine.load({ bytes: fixtureBytes('add_matmul') })
      assert.equal(await add(engine, session), SUMS)
      await engine.dispose()
    }
    const engine = open()
    const { session } = await engine.load({ bytes: fixtureBytes('add_matmul') })
    for (const [fault, code] of RUNNING) {
      assert.is((await withFault(fault, '', () => failure(add(engine, session)))).code, code, fault)
      assert.equal(await add(engine, session), SUMS)
    }
    const load = () => failedLoad(engine)
    assert.is((await withFault('CreateSessionFromArray', 'Protobuf parsing failed.', load)).code, 'MODEL_CORRUPT')
    for (const says of SYSTEM) {
      assert.is((await withFault('CreateSessionFromArray', says, load)).code, 'OUT_OF_MEMORY', says)
      assert.is((await withFault('RunWithBinding', says, () => failure(add(engine, session)))).code, 'OUT_OF_MEMORY', says)
    }
    await engine.dispose()
    const { engines, sessions, tensors } = addon.counters()
    assert.equal([engines, sessions, tensors], [0, 0, 0])
  })

  test('a GPU that was lost says so to the model that is loaded next', async () => {
    const engine = open()
    const { session, inputs, outputs } = await engine.load({ bytes: fixtureBytes('half') })
    const run = () => runFixture(engine, session, inputs[0].name, outputs[0].name)
    const before = await run()
    await during({ SADA_EMULATED_LOST_AFTER: '1' }, async () => {
      assert.is((await failure(run())).code, 'DEVICE_LOST')
      assert.is((await failedLoad(engine)).code, 'DEVICE_LOST')
    })
    assert.equal(await run(), before)
    await engine.dispose()
  })

  const addition = (workspace: Workspace, session: number): EngineOp => {
    const tensors = ['a', 'b', 'sum'].map((name) => bound(workspace, name, new Float32Array(6), [2, 3]))
    return { kind: 'stage', session, inputs: tensors.slice(0, 2), outputs: tensors.slice(2) }
  }

  test('a run that fails is told when what it had enqueued is done', async () => {
    const engine = open()
    const { session } = await engine.load({ bytes: fixtureBytes('add_matmul') })
    const workspace = new addon.Workspace(gpu)
    const run = () => failure(engine.run(workspace, [addition(workspace, session)]).done)
    assert.is((await withFault('RunWithBinding', '', run)).code, 'NETWORK_FAILED')
    assert.is(noted().at(-1), 'late work')
    workspace.dispose()
    await engine.dispose()
  })

  test('wrong names, sizes and places are refused', async () => {
    const engine = open()
    const { session } = await engine.load({ bytes: fixtureBytes('add_matmul') })
    for (const change of [
      (a: Binding) => ({ ...a, name: 'c' }),
      (a: Binding) => ({ ...a, name: 'b' }),
      (a: Binding) => ({ ...a, dims: [3, 2] }),
    ]) {
      assert.is((await failure(add(engine, session, change))).code, 'IO_MISMATCH')
    }
    const workspace = new addon.Workspace()
    assert.is((await failure(engine.run(workspace, [addition(workspace, session)]).done)).code, 'INVALID_ARGUMENT')
    workspace.dispose()
    await engine.dispose()
  })

  test('a batch whose members skip by themselves: one session for each of few numbers of rows, the CPU’s pictures; also without memory for them', async () => {
    const options = { prompt: ['a kid', 'a robot', 'a cat', 'a teal robot', 'a smiling kid'], seed: 3, steps: 14 }
    const cpu = await load('avatar', { threads: 1 })
    const expected = await cpu.generate(options)
    await cpu.dispose()
    const counts = new Set(
      Array.from({ length: 14 }, (_, step) => expected.trace.members.filter(({ steps }) => steps[step].action === 'run').length),
    )
    assert.ok(counts.size > 2, `members that run together: ${[...counts].join(', ')}`)
    for (const fault of ['', 'SessionOptionsAppendExecutionProvider_CUDA_V2']) {
      const pipeline = await load('avatar', { threads: 1, device: 'cuda', onnxruntime: dirname(DOUBLE) })
      writeFileSync(notes, '')
      const { latents } = await withFault(fault, '', () => pipeline.generate(options))
      assert.equal(latents, expected.latents)
      const opened = (): number => noted().filter((line) => line === 'provider').length
      const first = opened()
      // Embed and head convolve; with two rows a member 2, 4, 6, 8, and 12 for 10, the first of which is there.
      assert.ok(fault ? first === 0 : first > 0 && first <= 2 * 4, `${first} sessions were opened`)
      await pipeline.generate(options)
      assert.is(opened(), first)
      await pipeline.dispose()
    }
    assert.is(addon.counters().sessions, 0)
  })

  test('weights that are written to after they were loaded are not read for another number of rows', async () => {
    const folder = join(mkdtempSync(join(tmpdir(), 'sada-ort-')), 'sd2')
    cpSync(familyFolder('sd2'), folder, { recursive: true })
    const whole = { seed: 1, steps: 2, policy: 'none' } as const
    const pictures = (count: number) => ({ prompt: Array<string>(count).fill('a cat'), ...whole })
    const cpu = await load(folder, { threads: 1 })
    const expected = await cpu.generate(pictures(2))
    await cpu.dispose()
    const pipeline = await load(folder, { threads: 1, device: 'cuda', onnxruntime: dirname(DOUBLE) })
    await pipeline.generate(pictures(1))
    const weights = join(folder, 'unet', 'model.onnx_data')
    writeFileSync(weights, new Uint8Array(statSync(weights).size))
    assert.equal((await pipeline.generate(pictures(2))).latents, expected.latents)
    await pipeline.dispose()
  })

  test('whole pictures with the networks on the provider are those of the CPU', async () => {
    for (const [model, options] of [
      ['avatar', { prompt: ['a kid', 'a robot'], seed: [1, 2], steps: 6 }],
      [familyFolder('sd2'), optionsOf(recordedCases('sd2')[1])],
    ] as const) {
      const latents: Float32Array[] = []
      for (const settings of [{}, { device: 'cuda', onnxruntime: dirname(DOUBLE) }] as const) {
        writeFileSync(notes, '')
        const pipeline = await load(model, { threads: 1, ...settings })
        latents.push((await pipeline.generate(options)).latents)
        await pipeline.dispose()
      }
      assert.ok(noted().filter((line) => line === 'run').length >= 6)
      assert.equal(latents[1], latents[0])
    }
  })

  test('a stage that is not what its plan says is IO_MISMATCH when it is loaded, as on the CPU', async () => {
    const folder = join(mkdtempSync(join(tmpdir(), 'sada-ort-')), 'avatar')
    cpSync(join(__dirname, '../../models/avatar'), folder, { recursive: true })
    const plan = readFileSync(join(folder, 'plan.json'), 'utf8')
    writeFileSync(join(folder, 'plan.json'), plan.replace('"skip": ["rows", 96', '"skip": ["rows", 95'))
    const refused = [{}, { device: 'cuda', onnxruntime: dirname(DOUBLE) }] as const
    const [cpu, onGpu] = await Promise.all(refused.map((settings) => failure(load(folder, settings))))
    assert.equal([onGpu.code, onGpu.stage, onGpu.message], ['IO_MISMATCH', 'embed', cpu.message])
  })

  test('without a GPU build the networks stay on the CPU, and a warning says so', async () => {
    const warnings: string[] = []
    const listen = (warning: Error): void => void warnings.push(warning.message)
    process.on('warning', listen)
    const pipeline = await load('avatar', { device: 'cuda', onnxruntime: tmpdir() })
    await pipeline.generate({ prompt: 'a kid', steps: 1 })
    await pipeline.dispose()
    await new Promise(setImmediate)
    process.off('warning', listen)
    assert.match(warnings.join('\n'), /networks run on the CPU: no build of ONNX Runtime with its CUDA provider/)
  })
}

test.run()
