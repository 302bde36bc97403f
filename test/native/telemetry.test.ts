import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runScript } from '../support/child.ts'

// ONNX Runtime's official builds report what they run, unless they are kept from it: they write what waits to be sent into the user's
// cache folder, and a log into that of temporary files.

const SCRIPT = join(__dirname, '..', 'support', 'telemetry.ts')
/** Where it finds one of these it reports nothing anyway. */
const QUIET = { CI: undefined, ORT_RUNNING_UNIT_TESTS: undefined }

/** What a process that opens an engine leaves in its home and in the folder of temporary files, and its own variable for telemetry after that. */
function leftBehind(given: string | undefined): { files: string[]; variable: string } {
  const folder = mkdtempSync(join(tmpdir(), 'sada-'))
  const places = { HOME: folder, XDG_CACHE_HOME: folder, TMPDIR: folder }
  const { status, stdout, stderr } = runScript(SCRIPT, { env: { ...QUIET, ...places, ORT_DISABLE_TELEMETRY: given } })
  const files = readdirSync(folder, { recursive: true }).map(String)
  rmSync(folder, { recursive: true })
  assert.is(status, 0, stderr)
  return { files: files.filter((name) => !name.startsWith('tsx') && !name.startsWith('node-compile-cache')), variable: stdout }
}

test("ONNX Runtime's reports to its maker are off, unasked", () => {
  // On Windows it has no such variable.
  assert.equal(leftBehind(undefined), { files: [], variable: process.platform === 'win32' ? 'not set' : '1' })
})

test('only 0 leaves them on: values that ONNX Runtime takes for that as well do not', () => {
  for (const given of ['', 'no', 'false', '00', '1']) {
    const { files, variable } = leftBehind(given)
    assert.equal(files, [], given)
    if (process.platform !== 'win32') assert.is(variable, '1', given)
  }
})

test.run()
