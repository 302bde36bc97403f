import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'
import { TorchGenerator } from '../../ts/noise.ts'

/** `cuda/bench_torch.py`: what it times as PyTorch operations is the step that `cuda/bench.cu` times as one kernel. */

const script = join(__dirname, '../../cuda/bench_torch.py')
const python = process.env.SADA_PYTHON ?? 'python3'
const hasArrays = spawnSync(python, ['-c', 'import numpy']).status === 0 || spawnSync(python, ['-c', 'import torch']).status === 0

test('without a GPU it exits with 3 and says why in one line', () => {
  const { error, status, stdout, stderr } = spawnSync(python, [script], {
    encoding: 'utf8',
    env: { ...process.env, CUDA_VISIBLE_DEVICES: '' },
  })
  if (error) return console.log(`SKIPPED: ${python} does not start`)
  assert.is(status, 3)
  assert.match(stdout, /^No GPU to measure PyTorch on: PyTorch .*\.\n$/)
  assert.is(stderr, '')
})

const CASES = [
  { length: 1000, grid: null },
  { length: 4 * 6 * 8, grid: [4, 3, 4, 2, 2] },
]

for (const { length, grid } of CASES) {
  test(`its operations give what the fused step gives, ${length} elements${grid ? ', token means' : ''}`, async () => {
    if (!hasArrays) return console.log('SKIPPED: there is neither PyTorch nor NumPy; SADA_PYTHON names a Python that has one')
    const generator = new TorchGenerator(3)
    const inputs = Array.from({ length: 6 }, () => generator.randn(length))
    const { status, stdout, stderr } = spawnSync(python, [script, '--check'], {
      encoding: 'utf8',
      input: JSON.stringify({ inputs: inputs.map((each) => [...each]), grid }),
    })
    assert.is(status, 0, stderr)
    const made = JSON.parse(stdout) as { rows: number[][]; sum: number; means: number[] | null }
    const workspace = new (loadAddon().Workspace)()
    const slice = (data?: Float32Array) => {
      const tensor = workspace.allocate(length)
      if (data) workspace.write(tensor, 0, data)
      return { tensor, offset: 0 }
    }
    const stores = [slice(), slice(), slice()]
    const scores = slice()
    // The rows, the sum and the layout of bench_step in cuda/bench.cu.
    const rows = [0, 1, 2, 3].map((r) => ({
      inputs: [0, 1, 2].map((k) => (r + k) % 6),
      weights: [0.5, 1.5, 2.5],
      store: stores[r],
    }))
    const [channels, gridHeight, gridWidth, patchHeight, patchWidth] = grid ?? []
    const layout = grid && {
      order: 'channels-first' as const,
      channels,
      grid: [gridHeight, gridWidth] as const,
      patch: [patchHeight, patchWidth] as const,
    }
    const member = {
      inputs: inputs.map((each) => slice(each)),
      rows,
      sums: [{ a: 2, b: 3 }],
      ...(layout && { tokens: { sum: 0, layout, store: scores } }),
    }
    const [sum] = await workspace.step(length, [member])
    const read = (tensor: number, count: number): Float32Array => {
      const values = new Float32Array(count)
      workspace.read(tensor, 0, values)
      return values
    }
    const near = (found: number, expected: number, magnitude: number, what: string): void =>
      assert.ok(Math.abs(found - expected) <= 1e-6 * magnitude, `${what}: ${found}, ${expected}`)
    // Rows of three terms up to 10: a few float32 roundings. The sum is of a thousand such products.
    for (const [r, row] of made.rows.entries())
      read(stores[r].tensor, length).forEach((value, k) => near(value, row[k], 10, `row ${r}`))
    near(sum, made.sum, 20 * length, 'sum')
    assert.is(made.means === null, grid === null)
    if (made.means) read(scores.tensor, made.means.length).forEach((value, k) => near(value, made.means![k], 20, `token ${k}`))
    workspace.dispose()
  })
}

test.run()
