import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

/** How `npm run test:cuda` runs its programs: limited by what they compute, so that a busy machine ends none. */

interface Limits {
  cpuSeconds: number
  wallSeconds: number
}
const run = async (script: string, limits: Limits): Promise<{ code: number | string; output: string }> => {
  const { runLimited } = (await import(join(__dirname, '../../scripts/limited.mjs'))) as {
    runLimited(command: string, args: string[], limits: Limits): ReturnType<typeof run>
  }
  return runLimited(process.execPath, ['-e', script], limits)
}

test('a program that ends says how, and what it wrote', async () => {
  const ended = await run('console.log("a b"); console.error("c"); process.exitCode = 3', { cpuSeconds: 60, wallSeconds: 300 })
  assert.is(ended.code, 3)
  assert.match(ended.output, /a b\n/)
  assert.match(ended.output, /c\n/)
})

test('waiting is no computing: only the clock ends a program that sleeps', async () => {
  const slept = await run('setTimeout(() => console.log("awake"), 2500)', { cpuSeconds: 2, wallSeconds: 300 })
  assert.equal(slept, { code: 0, output: 'awake\n' })
  const hung = await run('setInterval(() => {}, 1000)', { cpuSeconds: 60, wallSeconds: 1 })
  assert.equal(hung, { code: 'SIGKILL', output: '\nKilled after 1 seconds.\n' })
})

test('a program that computes without an end is ended by what it computes', async () => {
  const { code, output } = await run('for (;;);', { cpuSeconds: 1, wallSeconds: 300 })
  assert.is(code, 'SIGXCPU')
  assert.match(output, /Killed after 1 seconds of CPU time/)
})

test.run()
