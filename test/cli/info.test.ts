import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { emptyFolder, run } from '../support/spawn.ts'

test('info tells the settings from the options of the policy, whatever those are called; of these what is not as usual', async () => {
  const cwd = emptyFolder()
  const words = ['a kid', '--seed', '5', '--steps', '1', '--policy', 'sada:seed=9,tail=3', '-o', 'x.png', '--json']
  const { options } = JSON.parse((await run('sada', words, cwd)).stdout)
  const { seeds, settings } = JSON.parse((await run('sada', ['info', 'x.png', '--json'], cwd)).stdout)
  assert.equal([seeds, settings.policy, settings.options, settings.seed], [[5], 'sada', options, undefined])
  assert.ok(Object.keys(options).length > 5)
  const { stdout } = await run('sada', ['info', 'x.png'], cwd)
  assert.match(stdout, /^size +64×64\nseeds +5\n[^]*^policy +sada\n {2}tail +3\n {2}seed +9\nmade by/m)
})

test('info says how large the pictures of a sheet are, and nothing of options that are as usual', async () => {
  const cwd = emptyFolder()
  await run('sada', ['a kid', '-n', '4', '--steps', '1', '-o', 'x.png'], cwd)
  const { stdout } = await run('sada', ['info', 'x.png'], cwd)
  assert.match(stdout, /^size +64×64, 4 on a sheet of 130×130\nseeds +0, 1, 2, 3\n[^]*^policy +sada\nmade by/m)
  const { width, height } = JSON.parse((await run('sada', ['info', 'x.png', '--json'], cwd)).stdout)
  assert.equal([width, height], [130, 130])
})

test.run()
