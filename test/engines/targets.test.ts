import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTarget, StageSources, type BuildTarget } from '../../ts/engines/build.ts'
import { engineKey } from '../../ts/engines/description.ts'
import type { SadaError } from '../../ts/errors.ts'
import type { NetworkFile } from '../../ts/plan/device-engine.ts'

const network = (() => {
  const file = { sha256: 'a'.repeat(64), withWeights: (use: (weights: [], files: []) => Promise<unknown>) => use([], []) }
  return { model: 'm', stage: 's', file, profiles: [] } as unknown as NetworkFile
})()

test('what is built for named targets is of no GPU: it is the same wherever it is built', async () => {
  const describe = async (target: BuildTarget) =>
    (await new StageSources({ flavour: 'tensorrt-rtx', version: '1' }, target).read(network)).description
  const { gpu, targets } = await describe({ targets: [89], gpu: 'NVIDIA L4' })
  assert.equal([gpu, targets], [undefined, [89]])
  assert.is((await describe({ gpu: 'NVIDIA L4' })).gpu, 'NVIDIA L4')
})

test('targets that are written otherwise, twice or in another order are the same', async () => {
  const keyFor = async (targets: (string | number)[]): Promise<string> =>
    engineKey((await new StageSources({ flavour: 'tensorrt-rtx', version: '1' }, { targets }).read(network)).description)
  const key = await keyFor(['sm_89', 'sm_120'])
  for (const same of [
    ['12.0', 89],
    ['8.9', '120', 'sm_89'],
  ])
    assert.is(await keyFor(same), key)
  assert.is.not(await keyFor([89]), key)
})

test('targets are read as people write them', () => {
  for (const [text, number] of [
    ['sm_89', 89],
    ['8.9', 89],
    ['89', 89],
    [89, 89],
    ['sm_120', 120],
    ['12.0', 120],
    ['sm75', 75],
  ] as const)
    assert.is(parseTarget(text), number)
  for (const bad of ['', 'ada', 'sm_', '8', '12', '8.9.1', 'sm_1234', '0.5', '099']) {
    try {
      parseTarget(bad)
      assert.unreachable(bad)
    } catch (error) {
      assert.is((error as SadaError).argument, 'target')
    }
  }
})

test.run()
