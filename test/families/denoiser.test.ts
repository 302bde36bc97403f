import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Component } from '../../ts/families/component.ts'
import { denoiser, rowsOf, type DenoiserInputs } from '../../ts/families/denoiser.ts'
import type { NetworkPlan } from '../../ts/families/network-plan.ts'
import type { SizeRange } from '../../ts/families/size-range.ts'
import type { SadaError } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import type { Engine, EngineOp, TensorInfo, Workspace } from '../../ts/native/types.ts'
import { never } from '../../ts/sampler/abort.ts'

// What a network is run on, as an engine is told. What comes of it is in times.test.ts, reference.test.ts and recorded.test.ts.

let workspace: Workspace
test.before.each(() => void (workspace = new (loadAddon().Workspace)()))
test.after.each(() => workspace.dispose())

const info = (name: string, dims: readonly number[], type: TensorInfo['type'] = 'float32', symbol = ''): TensorInfo => ({
  name,
  type,
  dims,
  symbols: dims.map((_, k) => (k === 0 ? symbol : '')),
})

/** A network of latents [2, 4, 6] with a text of three numbers, for two members with guidance. */
function made(more: Partial<DenoiserInputs> = {}, time: TensorInfo = info('t', [1])) {
  const ops: EngineOp[] = []
  const run = (_: unknown, list: readonly EngineOp[]) => (ops.push(...list), { done: Promise.resolve(), abort: () => {} })
  const inputs = [info('x', [-1, 2, -1, -1], 'float32', 'rows'), time, info('c', [-1, 3])]
  const session = { session: 7, inputs, outputs: [info('y', [-1, 2, -1, -1])] }
  const component = new Component('unet', 'model.onnx', {}, session, { run } as unknown as Engine)
  const { network, tensors } = denoiser({
    component,
    workspace,
    members: 2,
    guidance: 3,
    size: [4, 6],
    channels: 2,
    state: { input: 'x', output: 'y', shape: ['rows', 2, 4, 6] },
    time: { input: 't', value: ({ timestep }) => timestep + 0.75 },
    conditioning: { c: { shape: ['rows', 3], rows: [0, 1, 2, 3].map((row) => Float32Array.of(row, 10 + row, 20 + row)) } },
    ...more,
  })
  const call = async (members: readonly number[]): Promise<EngineOp[]> => {
    ops.length = 0
    const states = members.map((member) => {
      const tensor = workspace.allocate(48)
      workspace.write(
        tensor,
        0,
        Float32Array.from({ length: 48 }, (_, k) => k + 100 * member),
      )
      return { tensor, offset: 0 }
    })
    const level = { alpha: 1, sigma: 0.5 }
    const selections = members.map(() => undefined)
    await network.evaluate({ step: 0, timestep: 6, level, inputScale: 0.5, members, states, selections, signal: never })
    return [...ops]
  }
  return { network, tensors, call }
}

/** Of each stage its session, the shapes of what it is given and what it makes. */
const shapesOf = (ops: readonly EngineOp[]) =>
  ops.flatMap((op) =>
    op.kind === 'stage'
      ? [[op.session, Object.fromEntries([...op.inputs, ...op.outputs].map(({ name, dims }) => [name, dims]))]]
      : [],
  )
/** What the first stage is given under a name. */
function valuesOf(ops: readonly EngineOp[], name: string): number[] {
  const stage = ops.find((op) => op.kind === 'stage')!
  const { tensor, offset, dims } = stage.inputs.find((each) => each.name === name)!
  const values = new Float32Array(dims.reduce((product, n) => product * n, 1))
  workspace.read(tensor, offset, values)
  return [...values]
}
const upTo = (count: number, from: number): number[] => Array.from({ length: count }, (_, k) => k + from)

test('a pair of rows for each member: its state, scaled, its conditioning, the time as the file takes it', async () => {
  for (const [time, dims, values] of [
    [info('t', []), [], [6.75]],
    [info('t', [1], 'int64'), [1], [6]],
    [info('t', [-1], 'int32', 'rows'), [2], [6, 6]],
    [info('t', [-1], 'float16', 'rows'), [2], [6.75, 6.75]],
  ] as const) {
    const ops = await made({}, time).call([1])
    assert.equal(shapesOf(ops), [[7, { x: [2, 2, 4, 6], t: dims, c: [2, 3], y: [2, 2, 4, 6] }]])
    const state = upTo(48, 100).map((each) => each / 2)
    assert.equal(valuesOf(ops, 'x'), [...state, ...state])
    assert.equal([valuesOf(ops, 't'), valuesOf(ops, 'c')], [values, [2, 12, 22, 3, 13, 23]])
  }
})

test('what lies beside a state is more channels of its member’s input, not of its output', async () => {
  const beside = [0, 1].map((member) => Float32Array.from(upTo(72, 1000 * (member + 1))))
  const state = { input: 'x', output: 'y', shape: ['rows', 2, 4, 6], beside } as const
  const conditioning = { c: { shape: ['rows', 3], rows: [new Float32Array(3), new Float32Array(3)] } } as const
  const { call, tensors } = made({ state, guidance: 1, conditioning })
  const ops = await call([0, 1])
  assert.equal(shapesOf(ops), [[7, { x: [2, 5, 4, 6], t: [1], c: [2, 3], y: [2, 2, 4, 6] }]])
  // Without guidance there is no room for pairs.
  assert.throws(() => workspace.read(tensors.slice('run', 'c', 0).tensor as number, 0, new Float32Array(7)), /outside/)
  const rows = [0, 1].flatMap((member) => [...upTo(48, 100 * member).map((each) => each / 2), ...beside[member]])
  assert.equal(valuesOf(ops, 'x'), rows)
})

const flops = { fixed: 1, per_token: 0, per_token_pair: 0 }
const stage = (name: string, kind: 'dense' | 'tokens', inputs: string[], outputs: string[]) =>
  ({ name, kind, inputs, outputs, flops, file: '', sha256: '', bytes: 0 }) as const
/** Tokens of patches, of 1 × 2 latents. */
const plan = {
  tokens: { grid: ['height', 'width/2'], patch: [1, 2] },
  tensors: {
    x: ['rows', 2, 'height', 'width'],
    t: ['rows'],
    c: ['rows', 'length'],
    h: ['rows', 'tokens', 5],
    half: ['rows', 'height/2', 'width/2'],
    y: ['rows', 2, 'height', 'width'],
  },
  stages: [
    stage('in', 'dense', ['x', 't', 'c'], ['h', 'half']),
    stage('block', 'tokens', ['h'], ['h2']),
    stage('out', 'dense', ['h2', 'half'], ['y']),
  ],
  reuse: [{ from: 'block', to: 'block' }],
  sessions: new Map([
    ['in', 1],
    ['block', 2],
    ['out', 3],
  ]),
} as unknown as NetworkPlan
const tensors: NetworkPlan['tensors'] = { ...plan.tensors, h2: plan.tensors.h }

test('in stages: sides, tokens and the length of the text are those of the run; tokens that an edge cuts are not told apart', async () => {
  const flat = { grid: ['height', 'width/2'], patch: [1, 2] } as const
  const upright = { grid: ['height/2', 'width'], patch: [2, 1] } as const
  const rows = Array<Float32Array>(4).fill(new Float32Array(3))
  // Only the second has the text's length.
  const conditioning = { g: { shape: ['rows', 2], rows: [] }, c: { shape: ['rows', 1, 3], rows } } as const
  const shapes = { ...tensors, g: ['rows', 2], c: ['rows', 1, 'length'] }
  const stages = [stage('in', 'dense', ['x', 't', 'g', 'c'], ['h', 'half']), ...plan.stages.slice(1)]
  for (const [size, how, grid, isEven] of [
    [[4, 6], flat, [4, 3], true],
    [[3, 6], flat, [3, 3], true],
    [[4, 5], flat, [4, 3], false],
    [[4, 5], upright, [2, 5], true],
    [[3, 6], upright, [2, 6], false],
  ] as const) {
    const [height, width] = size
    const layout = { order: 'channels-first', channels: 2, ...how, grid } as const
    // What the state says of its layout without stages does not count with them.
    const state = { input: 'x', output: 'y', shape: ['rows', 2, height, width], layout: { ...layout, grid: [1, 1] } } as const
    const staged = { ...plan, stages, tensors: shapes, tokens: how } as unknown as NetworkPlan
    const { network, call } = made({ plan: staged, size, state, conditioning })
    const [latents, tokens] = [[4, 2, height, width], grid[0] * grid[1]]
    const half = [4, Math.ceil(height / 2), Math.ceil(width / 2)]
    assert.equal(shapesOf(await call([0, 1])), [
      [1, { x: latents, t: [4], g: [4, 2], c: [4, 1, 3], h: [4, tokens, 5], half }],
      [2, { h: [4, tokens, 5], h2: [4, tokens, 5] }],
      [3, { h2: [4, tokens, 5], half, y: latents }],
    ])
    assert.equal(network.tokens?.layout, isEven ? layout : undefined)
    assert.equal([network.canPrune, network.reusable], [isEven, plan.reuse])
    if (network.tokens) assert.is(network.tokens.scores(1).offset, tokens)
  }
})

test('a state of packed tokens says itself how they lie, in stages and whole', () => {
  const layout = { order: 'tokens', channels: 8, grid: [2, 6], patch: [1, 1] } as const
  const state = { input: 'x', output: 'y', shape: ['rows', 2, 4, 6], layout } as const
  for (const inStages of [true, false]) {
    const { network } = made({ state, ...(inStages && { plan: { ...plan, tensors } }) })
    assert.equal([network.tokens!.layout, network.tokens!.scores(1).offset, network.canPrune], [layout, 12, inStages])
  }
})

test('a network of one length is told no text', async () => {
  const { c, ...others } = tensors
  assert.ok(c)
  const stages = [stage('in', 'dense', ['x', 't'], ['h', 'half']), ...plan.stages.slice(1)]
  const { call } = made({ plan: { ...plan, stages, tensors: others } as unknown as NetworkPlan, conditioning: {} })
  assert.equal((shapesOf(await call([0])) as [number, object][])[0], [
    1,
    { x: [2, 2, 4, 6], t: [2], h: [2, 12, 5], half: [2, 2, 3] },
  ])
})

test('a run is as large as its engine was made for, and decided on the GPU where that engine is', () => {
  const range = { largest: { rows: 5 }, isStrict: true } as unknown as SizeRange
  made({ range })
  made({ range, members: 5, guidance: 1, conditioning: {} })
  for (const [members, guidance, most] of [
    [3, 3, 2],
    [6, 1, 5],
  ])
    assert.throws(
      () => made({ range, members, guidance }),
      ({ code, message }: SadaError) => code === 'INVALID_ARGUMENT' && message.includes(`at most ${most} prompts`),
    )
  const conditioning = { c: { shape: ['rows', 3], rows: [new Float32Array(3), new Float32Array(3)] } } as const
  const onDevice = (more: Partial<DenoiserInputs>) => made({ members: 1, conditioning, ...more }).network.onDevice()
  assert.is(onDevice({}), undefined)
  assert.equal(onDevice({ range })?.ops.length, 1)
})

test('rows are each member’s prompt, and after it what guidance leads away from', () => {
  const [a, b, c, d] = [1, 2, 3, 4].map((value) => Float32Array.of(value))
  assert.equal(rowsOf([a, b], [c, d], 3), [a, c, b, d])
  assert.equal(rowsOf([a, b], [c, d], 0.5), [a, c, b, d])
  assert.equal(rowsOf([a, b], [], 1), [a, b])
})

test.run()
