import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runScript } from '../support/child.ts'

test('cut, empty and bit-flipped models: MODEL_CORRUPT, or they load; never a crash', () => {
  const { signal, status, stdout, stderr } = runScript(join(__dirname, '..', 'support', 'damaged-models.ts'))
  assert.is(signal, null)
  assert.is(status, 0, stderr)
  const lines = stdout.trim().split('\n')
  assert.is(lines.length, 1, stdout)
  const { ends, counters } = JSON.parse(lines[0])
  assert.ok(ends['load: MODEL_CORRUPT'] > 100, lines[0])
  assert.is(
    Object.values(ends as Record<string, number>).reduce((a, b) => a + b),
    16 * 7 + 1000,
  )
  for (const end of Object.keys(ends))
    assert.match(end, /^(ran|load: MODEL_CORRUPT|run: (IO_MISMATCH|NETWORK_FAILED|OUT_OF_MEMORY|ABORTED))$/)
  assert.equal(counters, {
    workspaces: 0,
    tensors: 0,
    bytes: 0,
    scratchBytes: 0,
    pinnedBytes: 0,
    engines: 0,
    sessions: 0,
    jobs: 0,
  })
})

test.run()
