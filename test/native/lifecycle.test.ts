import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runScript, tsxArguments } from '../support/child.ts'

const script = join(__dirname, '..', 'support', 'lifecycle.ts')

/** How a process ends, what it has printed, and that it ends at all. */
function end(scenario: string): { status: number | null; printed: string } {
  const { status, signal, stdout, stderr } = runScript(script, { args: [scenario] })
  assert.is(signal, null, `${scenario}: ${stderr}`)
  return { status, printed: stdout.trim() }
}

const ends: [scenario: string, status: number, printed: string][] = [
  ['exit', 7, ''],
  ['throw', 1, ''],
  ['rejection', 1, ''],
  ['steps', 7, ''],
  ['idle', 0, ''],
  ['exit while loading', 7, ''],
  ['exit while disposing', 7, ''],
  ['check', 0, ''],
  ['eight workers and main', 0, Array(8).fill(0).join()],
  ['terminate', 0, ''],
  ['terminate at any moment', 0, ''],
  ['worker exits', 0, '7'],
  ['worker throws', 0, 'on purpose'],
  ['worker disposes and ends', 0, '7'],
  ['main exits with workers at work', 7, ''],
]
for (const [scenario, status, printed] of ends) {
  test(`process end: ${scenario}`, () => {
    // What a moment decides needs several tries.
    const tries = scenario === 'exit while loading' ? 10 : scenario.includes('terminate') || scenario.includes('eight') ? 1 : 3
    for (let k = 0; k < tries; k++) {
      assert.equal(end(scenario), { status, printed })
    }
  })
}

test('process end: SIGTERM in mid-run', async () => {
  const child = spawn(process.execPath, [...tsxArguments(script), 'sigterm'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const begin = performance.now()
  child.kill('SIGTERM')
  const signal = await new Promise((resolve) => child.once('exit', (_, by) => resolve(by)))
  assert.is(signal, 'SIGTERM')
  assert.ok(performance.now() - begin < 5000)
})

test.run()
