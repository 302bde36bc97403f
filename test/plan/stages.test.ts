import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'
import type { Workspace } from '../../ts/native/types.ts'
import { findModel } from '../../ts/pipeline/model-folder.ts'
import { loadModel, type Model } from '../../ts/plan/model.ts'
import { floats } from '../support/mixture.ts'
import { TorchGenerator } from '../../ts/noise.ts'

// The exported ONNX stages against tensors recorded from the network in PyTorch (models/record_fixtures.py).

interface Recorded {
  shape: number[]
  mean: number
  std: number
  stride: number
  values: string
}
interface Case {
  prompt: string
  level: number
  seed: number
  ids: number[][]
  tensors: Record<string, Recorded>
  pruned: { kept: number[]; tensors: Record<string, Recorded> }
}
const { cases } = JSON.parse(readFileSync(join(__dirname, '../fixtures/model/stages.json'), 'utf8')) as { cases: Case[] }

// float16 weights, float32 arithmetic in another order; tokens between the stages reach ±20, pictures ±1 (models/export_avatar.py refuses the same).
const TOLERANCE: Record<string, number> = { denoised: 1e-5, default: 1e-4 }

let model: Model
let workspace: Workspace
test.before(async () => {
  model = await loadModel(await findModel('avatar'), {})
})
test.after(() => model.engine.dispose())
test.before.each(() => void (workspace = new (loadAddon().Workspace)()))
test.after.each(() => workspace.dispose())

const size = (dims: readonly number[]): number => dims.reduce((product, n) => product * n, 1)

/** The guided pair sees the same sample. */
const twice = (row: Float32Array): Float32Array => Float32Array.from([...row, ...row])

function check(name: string, actual: Float32Array, { shape, mean, stride, values }: Recorded): void {
  assert.is(actual.length, size(shape), name)
  const tolerance = TOLERANCE[name] ?? TOLERANCE.default
  const expected = floats(values)
  expected.forEach((value, k) =>
    assert.ok(
      Math.abs(actual[k * stride] - value) <= tolerance,
      `${name}[${k * stride}]: ${actual[k * stride]}, recorded ${value}`,
    ),
  )
  assert.ok(Math.abs(actual.reduce((sum, v) => sum + v, 0) / actual.length - mean) <= tolerance, `${name}: mean`)
}

/** Runs one session on named tensors and reads its outputs. */
async function runStage(
  name: string,
  inputs: Record<string, { dims: number[]; data: Float32Array }>,
  outputs: Record<string, number[]>,
) {
  const put = (data: Float32Array): number => {
    const tensor = workspace.allocate(data.length)
    workspace.write(tensor, 0, data)
    return tensor
  }
  const made = Object.entries(outputs).map(([output, dims]) => ({
    name: output,
    tensor: workspace.allocate(size(dims)),
    offset: 0,
    dims,
  }))
  await model.engine.run(workspace, [
    {
      kind: 'stage',
      session: model.sessions.get(name)!,
      inputs: Object.entries(inputs).map(([input, { dims, data }]) => ({ name: input, tensor: put(data), offset: 0, dims })),
      outputs: made,
    },
  ]).done
  return Object.fromEntries(
    made.map(({ name: output, tensor, dims }) => {
      const data = new Float32Array(size(dims))
      workspace.read(tensor, 0, data)
      return [output, { dims, data }]
    }),
  )
}

for (const recorded of cases) {
  test(`"${recorded.prompt}" at level ${recorded.level}: every stage is what PyTorch gives`, async () => {
    const ids = Float32Array.from(recorded.ids.flat())
    assert.equal([...model.tokenizer.encode(recorded.prompt).ids], recorded.ids[0])
    assert.equal([...model.tokenizer.unconditional()], recorded.ids[1])
    const shapes = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, recorded.tensors[name].shape]))
    const tensors: Record<string, { dims: number[]; data: Float32Array }> = {
      sample: {
        dims: recorded.tensors.sample.shape,
        data: twice(new TorchGenerator(recorded.seed).randn(size(recorded.tensors.sample.shape) / 2)),
      },
      level: { dims: [2], data: new Float32Array(2).fill(recorded.level) },
      ...(await runStage('text', { ids: { dims: [2, 40], data: ids } }, shapes(model.manifest.text.outputs))),
    }
    check('sample', tensors.sample.data, recorded.tensors.sample)
    for (const { name, inputs, outputs } of model.manifest.stages) {
      const given = Object.fromEntries(inputs.map((input) => [input, tensors[input]]))
      Object.assign(tensors, await runStage(name, given, shapes(outputs)))
    }
    for (const name in recorded.tensors) if (name in tensors) check(name, tensors[name].data, recorded.tensors[name])

    // The token stages on every other token: what a pruned pass computes.
    const { kept } = recorded.pruned
    const [rows, tokens, channels] = recorded.tensors.hidden_0.shape
    const gathered = Float32Array.from({ length: rows * kept.length * channels }, (_, k) => {
      const [row, token, channel] = [
        Math.floor(k / (kept.length * channels)),
        Math.floor(k / channels) % kept.length,
        k % channels,
      ]
      return tensors.hidden_0.data[(row * tokens + kept[token]) * channels + channel]
    })
    const thinned: typeof tensors = { ...tensors, hidden_0: { dims: [rows, kept.length, channels], data: gathered } }
    for (const { name, inputs, outputs, kind } of model.manifest.stages) {
      if (kind !== 'tokens') continue
      const given = Object.fromEntries(inputs.map((input) => [input, thinned[input]]))
      Object.assign(
        thinned,
        await runStage(name, given, Object.fromEntries(outputs.map((output) => [output, [rows, kept.length, channels]]))),
      )
      for (const output of outputs) check(output, thinned[output].data, recorded.pruned.tensors[output])
    }
  })
}

test.run()
