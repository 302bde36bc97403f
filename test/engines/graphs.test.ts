import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'
import type { Engine, EngineOp, GraphReport, Workspace } from '../../ts/native/types.ts'
import { emulatedGpu } from '../support/emulated-gpu.ts'
import { bound, codeOf, fixtureBytes, read } from '../support/engines.ts'
import { during } from '../support/environment.ts'
import { hasTensorRtDouble, packEngine, tensorRtDouble, type DoubleEngine } from '../support/tensorrt-double.ts'

/** Passes as CUDA graphs: recorded the second time, launched from then on; what changes makes another one, what fails is enqueued. */

const gpu = { library: emulatedGpu, index: 0 }
const addon = loadAddon()

/** [rows, 3] + [rows, 3] on up to 16 rows. */
const rowsOf = (...[smallest, usual, largest]: [number, number, number]) =>
  ['a', 'b'].map((input) => ({ input, smallest: [smallest, 3], usual: [usual, 3], largest: [largest, 3] }))
const ROWS: DoubleEngine = {
  memory: 4096,
  inputs: ['a', 'b'].map((name) => ({ name, type: 'float32', sizes: [-1, 3] })),
  outputs: [
    { name: 'sum', type: 'float32', sizes: ['a.0', 3] },
    { name: 'product', type: 'float32', sizes: ['a.0', 2] },
  ],
  profiles: [rowsOf(1, 4, 16)],
  onnx: fixtureBytes('add_matmul'),
}
const sum = (memory = 4096): Uint8Array => packEngine({ ...ROWS, memory })

/** Four tokens of three channels, of which some are gathered, doubled (a + a) and scattered into a map of ones. */
class Passes {
  readonly workspace: Workspace = new addon.Workspace(gpu)
  private readonly map = bound(this.workspace, 'map', new Float32Array(12))
  private readonly kept = this.workspace.allocate(12)
  private readonly made = this.workspace.allocate(12)
  private readonly result = bound(this.workspace, 'result', new Float32Array(12))
  private readonly engine: Engine
  private readonly session: number

  constructor(engine: Engine, session: number) {
    this.engine = engine
    this.session = session
  }

  ops(kept: readonly number[], firstResult = 0): EngineOp[] {
    const slice = (tensor: number, offset = 0) => ({ tensor, offset })
    const tokens = (name: string, tensor: number) => ({ name, tensor, offset: 0, dims: [kept.length, 3] })
    const move = { rows: 1, channels: 3, order: 'tokens', indices: Int32Array.from(kept) } as const
    return [
      { kind: 'gather', from: slice(this.map.tensor), to: slice(this.kept), tokens: 4, ...move },
      {
        kind: 'stage',
        session: this.session,
        inputs: [tokens('a', this.kept), tokens('b', this.kept)],
        outputs: [tokens('sum', this.made)],
      },
      {
        kind: 'scatter',
        from: slice(this.made),
        to: slice(this.result.tensor, 3 * firstResult),
        tokens: 4 - firstResult,
        ...move,
      },
    ]
  }

  /** What a pass over these values leaves. */
  async run(values: readonly number[], kept: readonly number[], firstResult = 0): Promise<number[]> {
    this.workspace.write(this.map.tensor, 0, Float32Array.from(values))
    this.workspace.write(this.result.tensor, 0, new Float32Array(12).fill(1))
    await this.engine.run(this.workspace, this.ops(kept, firstResult)).done
    return read(this.workspace, this.result)
  }

  get graphs(): GraphReport {
    return this.workspace.graphs()
  }
}

const values = (seed: number): number[] => Array.from({ length: 12 }, (_, k) => 10 * seed + k)
const expected = (all: readonly number[], kept: readonly number[], first = 0): number[] =>
  Array.from({ length: 12 }, (_, k) => (kept.includes(Math.floor(k / 3) - first) ? 2 * all[k - 3 * first] : 1))

async function withPasses(work: (passes: Passes, engine: Engine) => Promise<void>): Promise<void> {
  const engine = new addon.Engine({ library: tensorRtDouble, kind: 'tensorrt', gpu })
  const { session } = await engine.load({ bytes: sum() })
  const passes = new Passes(engine, session)
  try {
    await work(passes, engine)
  } finally {
    passes.workspace.dispose()
    await engine.dispose()
  }
}

if (!hasTensorRtDouble()) {
  test.skip('CUDA graphs on the double of TensorRT', () => {})
} else {
  test('a pass is recorded the second time and launched from then on, with new values and other tokens of the same number', () =>
    withPasses(async (passes) => {
      for (const [k, kept] of [
        [0, 2],
        [0, 2],
        [1, 3],
        [3, 0],
        [0, 1],
      ].entries()) {
        assert.equal(await passes.run(values(k), kept), expected(values(k), kept))
        assert.equal(passes.graphs, { captured: k > 0 ? 1 : 0, launched: Math.max(0, k - 1) })
      }
    }))

  test('other numbers of tokens and other addresses are passes of their own; the first is still there after them', () =>
    withPasses(async (passes) => {
      const cases: [kept: number[], firstResult: number][] = [
        [[1, 2, 3], 0],
        [[0, 2], 0],
        [[0, 2], 1],
      ]
      for (let round = 0; round < 4; round++) {
        for (const [kept, first] of cases) {
          assert.equal(await passes.run(values(round), kept, first), expected(values(round), kept, first))
        }
      }
      assert.equal(passes.graphs, { captured: 3, launched: 6 })
    }))

  test('graphs of more sizes than an engine keeps contexts of go on or are made anew, never over a context that has gone', () =>
    withPasses(async (passes, engine) => {
      const { session } = await engine.load({ bytes: packEngine({ ...ROWS, profiles: [rowsOf(1, 4, 64)] }) })
      const [all, sums] = [passes.workspace.allocate(3 * 64), passes.workspace.allocate(3 * 64)]
      passes.workspace.write(all, 0, Float32Array.from(values(2)))
      const add = async (rows: number): Promise<void> => {
        const of = (name: string, tensor = all) => ({ name, tensor, offset: 0, dims: [rows, 3] })
        await engine.run(passes.workspace, [{ kind: 'stage', session, inputs: [of('a'), of('b')], outputs: [of('sum', sums)] }])
          .done
      }
      for (let round = 0; round < 2; round++) {
        for (let k = 0; k < 3; k++) await add(4)
        assert.equal(read(passes.workspace, { name: '', tensor: sums, offset: 0, dims: [12] }), expected(values(2), [0, 1, 2, 3]))
        for (let rows = 5; rows <= 37; rows++) await add(rows)
      }
      // Four rows twice: their context was the one that had been unused for the longest time when the 33rd of the others was made.
      assert.equal(passes.graphs, { captured: 2, launched: 2 })
    }))

  test('memory of the engine that has moved is not used by what was recorded before', () =>
    withPasses(async (passes, engine) => {
      for (let k = 0; k < 3; k++) await passes.run(values(k), [1])
      assert.equal(passes.graphs, { captured: 1, launched: 1 })
      await engine.load({ bytes: sum(1 << 20) }) // the arena that they share grows
      for (let k = 0; k < 3; k++) assert.equal(await passes.run(values(k), [1]), expected(values(k), [1]))
      assert.equal(passes.graphs, { captured: 2, launched: 2 })
    }))

  test('an engine that there is no memory for takes nothing from those before it, recorded or not', () =>
    withPasses(async (passes, engine) => {
      for (let k = 0; k < 3; k++) await passes.run(values(k), [1])
      assert.is(await codeOf(engine.load({ bytes: sum(2 ** 40) })), 'OUT_OF_MEMORY')
      for (let k = 0; k < 3; k++) assert.equal(await passes.run(values(k), [1]), expected(values(k), [1]))
      assert.equal(passes.graphs, { captured: 2, launched: 2 })
    }))

  test('at most 32 graphs are kept', () =>
    withPasses(async (passes, engine) => {
      const { session } = await engine.load({ bytes: sum() })
      const tensor = passes.workspace.allocate(3 * 64)
      const pass = (row: number): EngineOp[] => {
        const at = (name: string, offset: number) => ({ name, tensor, offset, dims: [1, 3] })
        return [{ kind: 'stage', session, inputs: [at('a', 0), at('b', 0)], outputs: [at('sum', 3 * row)] }]
      }
      const all = async (): Promise<void> => {
        for (let row = 1; row <= 33; row++) await engine.run(passes.workspace, pass(row)).done
      }
      // Each comes again when 32 others have been there since: as if for the first time.
      for (let round = 0; round < 3; round++) await all()
      assert.equal(passes.graphs, { captured: 0, launched: 0 })
      for (let k = 0; k < 3; k++) await engine.run(passes.workspace, pass(33)).done
      assert.equal(passes.graphs, { captured: 1, launched: 2 })
    }))

  for (const call of ['beginCapture', 'endCapture', 'instantiate', 'launchGraph']) {
    test(`where ${call} fails the pass is enqueued, the report says why, and it is not tried again`, () =>
      withPasses(async (passes) => {
        await during({ SADA_EMULATED_FAIL: call }, async () => {
          for (let k = 0; k < 4; k++) assert.equal(await passes.run(values(k), [0, 3]), expected(values(k), [0, 3]))
        })
        const { captured, launched, failure } = passes.graphs
        assert.match(String(failure), /CUDA graph failed: (operation|out of memory).*, cuda-emulated error \d+/)
        assert.equal([captured, launched], [call === 'launchGraph' ? 1 : 0, 0])
        assert.equal(await passes.run(values(9), [0, 3]), expected(values(9), [0, 3]))
        assert.is(passes.graphs.launched, 0)
        // Others are.
        for (let k = 0; k < 3; k++) assert.equal(await passes.run(values(k), [2]), expected(values(k), [2]))
        assert.is(passes.graphs.launched, 1)
      }))
  }

  test('a pass that is aborted while it waits is not made, though it is recorded', () =>
    withPasses(async (passes, engine) => {
      for (let k = 0; k < 3; k++) await passes.run(values(k), [0, 3])
      const before = passes.graphs
      const ahead = new addon.Workspace(gpu)
      // Long enough that the next job is aborted before these copies end, also on a busy machine.
      const length = 1 << 16
      const [from, to] = [ahead.allocate(length), ahead.allocate(length)]
      const copies = Array.from({ length: 5000 }, (): EngineOp => ({
        kind: 'copy',
        from: { tensor: from, offset: 0 },
        to: { tensor: to, offset: 0 },
        length,
      }))
      const running = engine.run(ahead, copies)
      const waiting = engine.run(passes.workspace, passes.ops([0, 3]))
      waiting.abort()
      const code = await waiting.done.then(
        () => 'none',
        (error: { code: string }) => error.code,
      )
      assert.is(code, 'ABORTED')
      await running.done
      assert.equal(passes.graphs, before)
      ahead.dispose()
    }))

  test('an engine that fails while it is recorded has run already', () =>
    withPasses(async (passes) => {
      await passes.run(values(1), [0])
      const result = await during({ SADA_DOUBLE_FAIL: 'enqueue:2' }, () => passes.run(values(2), [0]))
      assert.equal(result, expected(values(2), [0]))
      assert.match(String(passes.graphs.failure), 'asked to fail enqueue')
      assert.equal(await passes.run(values(3), [0]), expected(values(3), [0]))
    }))

  test('a recording that fails in the middle takes nothing from the times of the pass that was made', () =>
    withPasses(async (passes, engine) => {
      const ms = (): Promise<Float64Array> => engine.run(passes.workspace, passes.ops([0])).done
      assert.is((await ms()).length, 3)
      assert.is((await during({ SADA_DOUBLE_FAIL: 'enqueue:2' }, ms)).length, 3)
      assert.match(String(passes.graphs.failure), 'asked to fail enqueue')
    }))

  test('what was recorded with an engine that is gone is not launched with one that lies in its place', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const workspace = new addon.Workspace(gpu)
    const [a, b, made, product] = ['a', 'b', 'sum', 'product'].map((name) =>
      bound(workspace, name, new Float32Array(name === 'product' ? 2 : 3), [1, name === 'product' ? 2 : 3]),
    )
    const pass = async (): Promise<GraphReport> => {
      const engine = new addon.Engine({ library: tensorRtDouble, kind: 'tensorrt', gpu })
      const { session } = await engine.load({ bytes: sum() })
      await engine.run(workspace, [{ kind: 'stage', session, inputs: [a, b], outputs: [made, product] }]).done
      await engine.dispose()
      return workspace.graphs()
    }
    // One by one, and collected, each engine has the memory of the one before.
    for (let k = 0; k < 6; k++) {
      assert.equal(await pass(), { captured: 0, launched: 0 }, `engine ${k}: its first pass`)
      for (let turn = 0; turn < 4; turn++) {
        await new Promise((resolve) => setImmediate(resolve))
        collect()
      }
    }
    workspace.dispose()
  })

  test('a failure on the stream ends the job that launched the graph', () =>
    withPasses(async (passes) => {
      await during({ SADA_DOUBLE_FAIL: 'none', SADA_EMULATED_LOST_AFTER: '1000000000' }, async () => {
        for (let k = 0; k < 3; k++) await passes.run(values(k), [0])
        process.env.SADA_EMULATED_LOST_AFTER = '1'
        const code = await passes.run(values(4), [0]).then(
          () => 'none',
          (error: { code: string }) => error.code,
        )
        assert.is(code, 'DEVICE_LOST')
      })
    }))

  test('a network on the processor, beside tensors on the GPU, is not recorded, and nothing is said', async () => {
    const engine = new addon.Engine({ library: findOnnxRuntime() })
    const { session } = await engine.load({ bytes: fixtureBytes('add_matmul') })
    const passes = new Passes(engine, session)
    for (let k = 0; k < 3; k++) {
      await passes.run(values(k), [0, 1]).catch(() => undefined)
      assert.equal(passes.graphs, { captured: 0, launched: 0 })
    }
    passes.workspace.dispose()
    await engine.dispose()
  })
}

test.run()
