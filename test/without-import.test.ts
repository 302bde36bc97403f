import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

test('pictures are made, written and read where modules have no import(), as under Jest', () => {
  const script = join(__dirname, 'support', 'without-import.cjs')
  const { stdout, stderr, status } = spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 60_000 })
  assert.equal([stdout, status], ['64 true\n32 true\n', 0], stderr)
})

test.run()
