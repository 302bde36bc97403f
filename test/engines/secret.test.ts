import { chmodSync, mkdtempSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { secretOf } from '../../ts/engines/secret.ts'

const onPosix = process.platform === 'win32' ? test.skip : test

onPosix('a key that anyone else can read, write or run is replaced by one that is private', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-key-'))
  const key = join(folder, 'key')
  let known = await secretOf(folder)
  assert.is(known.length, 32)
  assert.equal(await secretOf(folder), known)
  for (const mode of [0o640, 0o620, 0o610, 0o604, 0o602, 0o601]) {
    chmodSync(key, mode)
    const made = await secretOf(folder)
    assert.not.equal(made, known, mode.toString(8))
    assert.equal([readFileSync(key), statSync(key).mode & 0o777], [made, 0o600])
    known = made
  }
})

test.run()
