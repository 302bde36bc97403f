import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

// Examples import the package by its name, as its users do: they run on dist/.

const examples = join(__dirname, '..', 'examples')
const TSX = pathToFileURL(require.resolve('tsx')).href
const cwd = mkdtempSync(join(tmpdir(), 'sada-examples-'))

function run(name: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', TSX, join(examples, name), ...args], {
    cwd,
    encoding: 'utf8',
  })
  assert.is(status, 0, `${name}\n${stdout}${stderr}`)
  return stdout
}

const outcomes: Record<string, () => void> = {
  'generate.mts'() {
    assert.match(run('generate.mts', 'a zebra kid', 'kid.png'), /^\nkid\.png: \d+ ms, \d+ network runs of 50\n.*: zebra\n$/)
    assert.is(readFileSync(join(cwd, 'kid.png')).subarray(1, 4).toString(), 'PNG')
  },
  'stream.mts'() {
    assert.match(run('stream.mts'), /^[█▓·]{50}\n\d+ network runs/)
    const [steps, legend] = run('stream.mts', 'deepcache').split('\n')
    for (const letter of new Set(steps)) assert.ok(legend.includes(letter), letter)
  },
  'bring-your-own-network.mts'() {
    const means = [...run('bring-your-own-network.mts').matchAll(/mean (-?[\d.]+), (\d+) network runs of 50/g)]
    assert.is(means.length, 2)
    for (const [, mean, runs] of means) {
      // The mixture's means are ±1; a mean of 1024 values with spread 0.2 lies within 0.03 of one of them.
      assert.ok(Math.abs(Math.abs(Number(mean)) - 1) < 0.05, mean)
      assert.ok(Number(runs) < 50, runs)
    }
  },
}

for (const [name, outcome] of Object.entries(outcomes)) test(`${name} runs and does what it says`, outcome)

test('every example is run here and named in the README', () => {
  const readme = readFileSync(join(examples, 'README.md'), 'utf8')
  const names = readdirSync(examples).filter((name) => name.endsWith('.mts'))
  assert.equal(names.sort(), Object.keys(outcomes).sort())
  for (const name of [...names, 'electron']) assert.ok(readme.includes(name), name)
})

test.after(() => {
  rmSync(cwd, { recursive: true })
})
test.run()
