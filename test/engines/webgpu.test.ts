import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../ts/index.ts'
import { failure } from '../support/failure.ts'
import { familyFolder } from '../support/families.ts'
import { emptyFolder, run } from '../support/spawn.ts'
import { hasSwiftShader, withWebGpu, type Outcome } from '../support/webgpu.ts'

// ONNX Runtime's WebGPU provider, on a GPU that is a program. Each test is a process of its own: what it does to that is a part of the test.

const fixtures = JSON.stringify(join(__dirname, '../fixtures/onnx'))

/** An engine, and [rows, 3] + [rows, 3] on it. */
const SUMS = `
  const bytes = require('node:fs').readFileSync(${fixtures} + '/add_matmul.onnx')
  const open = () => new addon.Engine({ library, kind: 'webgpu' })
  const sum = async (engine, session, rows) => {
    const workspace = new addon.Workspace()
    try {
      const values = Float32Array.from({ length: 3 * rows }, (_, k) => k)
      const bind = (name) => {
        const tensor = workspace.allocate(values.length)
        workspace.write(tensor, 0, values)
        return { name, tensor, offset: 0, dims: [rows, 3] }
      }
      const output = bind('sum')
      await engine.run(workspace, [{ kind: 'stage', session, inputs: [bind('a'), bind('b')], outputs: [output] }]).done
      const made = new Float32Array(values.length)
      workspace.read(output.tensor, 0, made)
      return [...made]
    } finally {
      workspace.dispose()
    }
  }`
/** y = (x·xᵀ)·x for x = 1, [n, 1]: its last value, by way of [n, n]. */
const SQUARES = `
  const open = () => new addon.Engine({ library, kind: 'webgpu' })
  const squares = require('node:fs').readFileSync(${fixtures} + '/square.onnx')
  const square = async (engine, session, n) => {
    const workspace = new addon.Workspace()
    const [x, y] = [workspace.allocate(n), workspace.allocate(n)]
    workspace.write(x, 0, new Float32Array(n).fill(1))
    const bind = (name, tensor) => ({ name, tensor, offset: 0, dims: [n, 1] })
    await engine.run(workspace, [{ kind: 'stage', session, inputs: [bind('x', x)], outputs: [bind('y', y)] }]).done
    const made = new Float32Array(n)
    workspace.read(y, 0, made)
    return made[n - 1]
  }`
const doubled = (rows: number): number[] => Array.from({ length: 3 * rows }, (_, k) => 2 * k)

/** The process ended by itself, and as it should. */
function ended({ status, signal, told, errors }: Outcome, expected = 0): readonly unknown[] {
  assert.equal({ status, signal }, { status: expected, signal: null }, errors)
  return told
}

const A_PICTURE = `{ prompt: 'a kid', seed: 7, steps: 1, guidanceScale: 1, policy: 'none' }`

test('on a GPU alone, and engines are named', async () => {
  const error = await failure(load('avatar', { engine: 'web-gpu' as 'webgpu' }))
  assert.is(error.code, 'INVALID_ARGUMENT')
  assert.match(error.message, '"onnxruntime", "webgpu" or "tensorrt"')
})

if (!hasSwiftShader()) {
  test.skip('networks by WebGPU', () => {})
} else {
  test('a network computes for each size that comes, and again when all engines before were disposed of', async () => {
    const outcome = await withWebGpu(`${SUMS}
      for (const rows of [1, 2, 33]) {
        const engine = open()
        const { session } = await engine.load({ bytes })
        tell([await sum(engine, session, rows), await sum(engine, session, 2 * rows)])
        await engine.dispose()
      }`)
    assert.equal(
      ended(outcome),
      [1, 2, 33].map((rows) => [doubled(rows), doubled(2 * rows)]),
    )
  })

  test('engines of one process run at once, while others are made and go', async () => {
    const outcome = await withWebGpu(`${SUMS}
      const work = async (first) => {
        for (let k = 0; k < 4; k++) {
          const engine = open()
          const { session } = await engine.load({ bytes })
          const all = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => sum(engine, session, first + n)))
          if (all.some((made, n) => made.length !== 3 * (first + n + 1) || made.some((value, k) => value !== 2 * k))) tell('wrong')
          await engine.dispose()
        }
      }
      await Promise.all([1, 2, 3, 4].map(work))
      tell(addon.counters().sessions)`)
    assert.equal(ended(outcome), [0])
  })

  test('an output of another size than is bound is IO_MISMATCH, as on the CPU, and nothing is written', async () => {
    const outcome = await withWebGpu(`${SUMS}
      const engine = open()
      const { session } = await engine.load({ bytes })
      const workspace = new addon.Workspace()
      const bind = (name, rows) => ({ name, tensor: workspace.allocate(3 * rows), offset: 0, dims: [rows, 3] })
      for (const rows of [1, 2, 3]) {
        const output = bind('sum', rows)
        workspace.write(output.tensor, 0, new Float32Array(3 * rows).fill(7))
        const { done } = engine.run(workspace, [{ kind: 'stage', session, inputs: [bind('a', 2), bind('b', 2)], outputs: [output] }])
        const code = await done.then(() => 'made', ({ code }) => code)
        const found = new Float32Array(3 * rows)
        workspace.read(output.tensor, 0, found)
        tell([code, found[0]])
      }
      await engine.dispose()`)
    assert.equal(ended(outcome), [
      ['IO_MISMATCH', 7],
      ['made', 0],
      ['IO_MISMATCH', 7],
    ])
  })

  test('engines take turns in the order in which they ask', async () => {
    const outcome = await withWebGpu(`${SQUARES}
      const engines = [open(), open()]
      const sessions = []
      for (const engine of engines) sessions.push((await engine.load({ bytes: squares })).session)
      const order = []
      await Promise.all(
        [0, 1].flatMap((k) => Array.from({ length: 6 }, () => square(engines[k], sessions[k], 300).then(() => order.push(k)))),
      )
      tell(order)
      for (const engine of engines) await engine.dispose()`)
    const [order] = ended(outcome) as [number[]]
    // The first may have had a turn before the other asked.
    const between = order.slice(2, 10)
    assert.equal(
      between,
      [0, 1, 2, 3].flatMap(() => between.slice(0, 2)),
      order.join(''),
    )
    assert.is.not(between[0], between[1])
  })

  test('a picture is that of the CPU, but for rounding', async () => {
    const outcome = await withWebGpu(`
      const made = []
      for (const engine of ['onnxruntime', 'webgpu']) {
        const pipeline = await load('avatar', { engine })
        made.push(await pipeline.generate(${A_PICTURE}))
        tell([pipeline.device.name, (await pipeline.memory(${A_PICTURE})).device])
        await pipeline.dispose()
      }
      const [cpu, gpu] = made
      tell(Math.max(...cpu.latents.map((value, k) => Math.abs(value - gpu.latents[k]))))
      tell(Math.max(...cpu.images[0].data.map((value, k) => Math.abs(value - gpu.images[0].data[k]))))`)
    const [onCpu, onGpu, latents, levels] = ended(outcome)
    assert.equal([onCpu, onGpu], Array(2).fill(['cpu', 'cpu']), 'the sampler stays where it was')
    // Of about 2; sums of float32 in another order.
    assert.ok((latents as number) > 0 && (latents as number) < 1e-3, String(latents))
    assert.ok((levels as number) <= 1, String(levels))
  })

  test("a transformer and an autoencoder that convolves: the CPU's picture, but for rounding", async () => {
    const outcome = await withWebGpu(`
      const made = []
      for (const engine of ['onnxruntime', 'webgpu']) {
        const pipeline = await load(${JSON.stringify(familyFolder('flux'))}, { engine })
        const options = { prompt: 'a red door', seed: 3, steps: 1, guidanceScale: 1, policy: 'none', width: 32, height: 32 }
        made.push(await pipeline.generate(options))
        await pipeline.dispose()
      }
      const [cpu, gpu] = made
      tell(Math.max(...cpu.latents.map((value, k) => Math.abs(value - gpu.latents[k]))))
      tell(Math.max(...cpu.images[0].data.map((value, k) => Math.abs(value - gpu.images[0].data[k]))))`)
    const [latents, levels] = ended(outcome) as number[]
    // Of about 4, by sums of float32 in another order.
    assert.ok(latents > 0 && latents < 1e-3, String(latents))
    assert.ok(levels <= 1, String(levels))
  })

  test('what takes a buffer that the device does not make is OUT_OF_MEMORY, the next time too, and smaller runs go on', async () => {
    const outcome = await withWebGpu(`${SQUARES}
      const engine = open()
      const { session } = await engine.load({ bytes: squares })
      for (const n of [2, 40_000, 3, 40_000, 2]) tell(await square(engine, session, n).catch(({ code }) => code))
      await engine.dispose()`)
    assert.equal(ended(outcome), [2, 'OUT_OF_MEMORY', 3, 'OUT_OF_MEMORY', 2])
  })

  test('an abort rejects at once in the middle of a step, and the pipeline can be disposed of', async () => {
    const outcome = await withWebGpu(`
      const pipeline = await load('avatar', { engine: 'webgpu' })
      const from = performance.now()
      const signal = AbortSignal.timeout(500)
      tell(await pipeline.generate({ ...${A_PICTURE}, signal }).then(() => 'made', (error) => error.name))
      tell(performance.now() - from < 2000)
      await pipeline.dispose()
      tell(addon.counters().sessions)`)
    assert.equal(ended(outcome), ['TimeoutError', true, 0])
  })

  test('the process may end in the middle of a run, in the main thread and in a worker’s', async () => {
    const main = (end: string): string => `
      const pipeline = await load('avatar', { engine: 'webgpu' })
      void pipeline.generate(${A_PICTURE}).catch(() => {})
      setTimeout(() => { ${end} }, 500)`
    ended(await withWebGpu(main('process.exit(7)')), 7)
    // As where an application takes its listeners away: JavaScript does not see the end.
    ended(await withWebGpu(main("process.removeAllListeners('exit'); process.exit(7)")), 7)
    const worker = `
      const { Worker } = require('node:worker_threads')
      const work = 'const { load } = require(' + JSON.stringify(require.resolve(${JSON.stringify(join(__dirname, '../../dist/index.js'))})) + ');' +
        'load("avatar", { engine: "webgpu" }).then((pipeline) => { require("node:worker_threads").parentPort.postMessage("loaded"); return pipeline.generate(${A_PICTURE.replaceAll("'", '"')}) })'
      const started = () => new Promise((resolve) => {
        const made = new Worker(work, { eval: true })
        made.once('message', () => setTimeout(() => resolve(made), 300))
      })
      await (await started()).terminate()
      tell('terminated')
      await started()
      process.exit(7)`
    assert.equal(ended(await withWebGpu(worker), 7), ['terminated'])
  })

  test('sada doctor says whether there is a GPU for it', async () => {
    const doctor = JSON.stringify(join(__dirname, '../../dist/cli/sada.js'))
    const body = `
      const { execFileSync } = require('node:child_process')
      const { backends } = JSON.parse(execFileSync(process.execPath, [${doctor}, 'doctor', '--json']))
      tell(backends.find(({ name }) => name === 'webgpu').usable)`
    assert.equal([ended(await withWebGpu(body)), ended(await withWebGpu(body, 'none'))], [[true], [false]])
  })

  test('figures of sada-bench, and of its table1, say that the network ran there', async () => {
    const folder = emptyFolder()
    const prompts = join(folder, 'prompts.txt')
    writeFileSync(prompts, 'a red door')
    const asked = '--engine webgpu --steps 2 --samples 1 --width 32 --height 32 --scheduler dpm++ --json -'.split(' ')
    const all = [...asked, '-m', familyFolder('pixart'), '--prompts', prompts]
    const journal = join(folder, 'runs.jsonl')
    const commands = [
      ['--quick', '--policy', 'none', ...all],
      ['table1', '--plain-by', 'flops', '--policy', 'every-n:n=2', '--resume', journal, ...all],
    ]
    const body = `
      const { execFileSync } = require('node:child_process')
      for (const args of ${JSON.stringify(commands)}) {
        const made = JSON.parse(execFileSync(process.execPath, [${JSON.stringify(join(__dirname, '../../dist/cli/sada-bench.js'))}, ...args], { stdio: 'pipe' }))
        tell(made.device ?? made.machine.device)
      }`
    assert.equal(ended(await withWebGpu(body)), ['webgpu', 'webgpu'])
    // On the CPU they are not gone on with.
    const { code, stderr } = await run('sada-bench', [...commands[1], '--engine', 'onnxruntime'])
    assert.is(code, 2)
    assert.match(stderr, /on webgpu, and .*, on cpu\./)
  })

  test('where there is no GPU it is BACKEND_UNAVAILABLE, each time; the CPU goes on', async () => {
    const outcome = await withWebGpu(
      `
      for (let k = 0; k < 2; k++) await load('avatar', { engine: 'webgpu' }).catch(({ code, message }) => tell([code, message]))
      const pipeline = await load('avatar')
      tell((await pipeline.generate(${A_PICTURE})).images.length)
      await pipeline.dispose()
      tell(addon.counters().sessions)`,
      'none',
    )
    const [first, second, ...rest] = ended(outcome) as [[string, string], [string, string], ...number[]]
    assert.equal(rest, [1, 0])
    assert.is(first[0], 'BACKEND_UNAVAILABLE')
    assert.match(
      first[1],
      /has no GPU for WebGPU, which takes a driver for Vulkan, Direct3D 12 or Metal: Failed to get a WebGPU adapter/,
    )
    assert.equal(second, first)
  })
}

test.run()
