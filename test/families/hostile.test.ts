import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, SadaError, type Pipeline } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { runScript } from '../support/child.ts'
import { BOMBS, HOSTILE, writeHostile, writeSound } from '../support/hostile.ts'

// A folder from anywhere may fail to load. It may not end the process, hang it, take its memory, leave anything behind, or disturb what else runs.

const root = mkdtempSync(join(tmpdir(), 'sada-hostile-'))
const sound = join(root, 'sound')
writeSound(sound)
let other: Pipeline
let expected: Float32Array
test.before(async () => {
  other = await load(sound, { threads: 1 })
  expected = await picture(other)
})
test.after(async () => {
  await other.dispose()
  rmSync(root, { recursive: true })
})

const picture = async (pipeline: Pipeline): Promise<Float32Array> =>
  (await pipeline.generate({ prompt: 'a cat', steps: 3, seed: 5, policy: 'none' })).latents

for (const [k, [name, { edit, code, stage }]] of Object.entries(HOSTILE).entries()) {
  test(`${name}: ${code}, nothing left, nothing disturbed`, async () => {
    const folder = join(root, String(k))
    writeHostile(folder, edit)
    const before = loadAddon().counters()
    const running = picture(other)
    const failure = await load(folder, { threads: 1 }).catch((error: unknown) => error)
    assert.instance(failure, SadaError)
    const { message, ...error } = failure as SadaError
    assert.is(error.code, code, message)
    if (stage !== undefined) assert.is(error.stage, stage, message)
    assert.ok(message.length < 2000, `a message of ${message.length} characters`)
    assert.equal(await running, expected)
    assert.equal(loadAddon().counters(), before)
  })
}

test('after all of them a new process gives the same picture', () => {
  const { status, stdout, stderr } = runScript(join(__dirname, '..', 'support', 'hostile-load.ts'), { args: [sound] })
  assert.is(status, 0, stderr)
  const { latents } = JSON.parse(stdout) as { latents: number[] }
  assert.equal(Float32Array.from(latents), expected)
})

for (const [k, [name, edit]] of Object.entries(BOMBS).entries()) {
  test(`${name} of constants: bounded memory while it loads`, () => {
    const folder = join(root, `bomb ${k}`)
    writeHostile(folder, edit)
    const { status, signal, stdout, stderr } = runScript(join(__dirname, '..', 'support', 'hostile-load.ts'), {
      args: [folder, 'load'],
    })
    assert.equal([signal, status], [null, 0], stderr)
    const { peak } = JSON.parse(stdout) as { peak: number }
    assert.ok(peak < 700, `${peak} MiB`)
  })
}

test.run()
