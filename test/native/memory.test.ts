import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runScript } from '../support/child.ts'

test('dropped engines and workspaces are freed, their runs complete first; memory does not grow with steps and runs', () => {
  const { signal, status, stdout, stderr } = runScript(join(__dirname, '..', 'support', 'memory.ts'), {
    nodeOptions: ['--expose-gc'],
  })
  assert.is(signal, null)
  assert.is(status, 0, stderr)
  const { before, ran, after, growth, end } = JSON.parse(stdout)
  assert.is(ran, 200)
  assert.equal(after, before)
  assert.equal(end, before)
  const tolerance = 8 * 2 ** 20 // a garbage collector's own; one leaked cycle's tensors would be 500 MB
  assert.ok(growth < tolerance, `${growth} bytes`)
})

test('models that come and go beside another one leave no memory behind', () => {
  const script = join(__dirname, '..', 'support', 'models-that-go.ts')
  const { status, stdout, stderr } = runScript(script, { nodeOptions: ['--expose-gc'] })
  assert.is(status, 0, stderr)
  // The weights of one model, 13 MB, are in memory twice while it loads; of twelve used to stay what their threads had freed, 270 MB and more.
  assert.ok(Number(stdout) < 64 * 2 ** 20, `${stdout} bytes`)
})

test.run()
