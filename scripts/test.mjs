// Runs every test/**/*.test.ts in a process of its own, two at a time; *.serial.test.ts one at a time, after the others: they measure
// time. The longest come first, so that no core waits for one at the end. A file that fails, crashes, hangs or runs no test fails the run.
//
//   node scripts/test.mjs [PART OF A PATH …]
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const TYPESCRIPT = join(root, 'test', 'support', 'typescript.cjs')
/** Parts of the paths of the files that take longest, by processor time. */
const LONGEST = [
  'pipeline/pipeline',
  'policy/features',
  'types',
  'native/lifecycle',
  'families/recorded',
  'cli/families',
  'cli/sada.',
  'families/policies',
  'cli/sada-bench',
  'pipeline/memory',
  'families/configurations',
  'plan/features',
  'families/hostile',
  'families/pruning',
  'policy/sada-device',
  'families/reference',
  'families/tiles',
  'families/preview',
  'bench/table1-cli',
  'native/memory',
]
const wanted = process.argv.slice(2)
const files = readdirSync(join(root, 'test'), { recursive: true })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => join(root, 'test', file))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort((a, b) => placeOf(a) - placeOf(b) || (a < b ? -1 : 1))

/** Its place in the queue; files that are not among the longest share the last one. */
function placeOf(file) {
  const place = LONGEST.findIndex((part) => file.includes(join('test', part)))
  return place < 0 ? LONGEST.length : place
}

const MOST_MINUTES = 5

const totals = { passed: 0, failed: 0, skipped: 0 }

/** Runs one file and adds up what uvu says about it. */
function runFile(file) {
  return new Promise((resolve) => {
    const from = performance.now()
    const child = spawn(process.execPath, ['--require', TYPESCRIPT, file], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (data) => (output += data))
    child.stderr.on('data', (data) => (output += data))
    const hung = setTimeout(() => {
      output += `\nKilled after ${MOST_MINUTES} minutes.\n`
      child.kill('SIGKILL')
      // A process that it started may keep these open.
      child.stdout.destroy()
      child.stderr.destroy()
    }, MOST_MINUTES * 60_000)
    child.on('close', (code, signal) => {
      clearTimeout(hung)
      const number = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(output)?.[1] ?? 0)
      const [total, passed, skipped] = ['Total', 'Passed', 'Skipped'].map(number)
      // uvu does not count skipped tests in its total.
      const ran = total + skipped > 0
      const failed = ran ? total - passed : 0
      const broken = failed > 0 || !ran || code !== 0
      totals.passed += passed
      totals.skipped += skipped
      totals.failed += failed > 0 ? failed : broken ? 1 : 0
      const seconds = ((performance.now() - from) / 1000).toFixed(1)
      const says = ran
        ? `${passed} passed${failed ? `, ${failed} failed` : ''}${skipped ? `, ${skipped} skipped` : ''}`
        : 'ran no test'
      console.log(`${broken ? '✘' : '✔'} ${relative(root, file)}  ${says}  ${seconds} s${signal ? `  ended by ${signal}` : ''}`)
      // A skipped test says why on a line of its own.
      for (const line of output.split('\n')) if (line.startsWith('SKIPPED')) console.log(`  ${line}`)
      if (broken) console.log(output)
      resolve()
    })
  })
}

async function runAll(queue, atOnce) {
  const next = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await runFile(file)
  }
  await Promise.all(Array.from({ length: atOnce }, next))
}

const isSerial = (file) => file.endsWith('.serial.test.ts')
await runAll(
  files.filter((file) => !isSerial(file)),
  Math.min(2, cpus().length),
)
await runAll(files.filter(isSerial), 1)
const { passed, failed, skipped } = totals
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
