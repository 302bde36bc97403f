// Runs every test/**/*.test.ts in a process of its own, two at a time; *.serial.test.ts one at a time, after the others: they measure
// time. The longest come first, so that no core waits for one at the end.
//
//   node scripts/test.mjs [PART OF A PATH …]
import { readdirSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TestRun } from './test-files.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const TYPESCRIPT = join(root, 'test', 'support', 'typescript.cjs')
/** Parts of the paths of the files that take longest, by processor time. */
const LONGEST = [
  'engines/webgpu',
  'engines/built',
  'gpu/verify',
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

const start = (file) => [relative(root, file), process.execPath, ['--require', TYPESCRIPT, file], { cwd: root }]
const tests = new TestRun()
const isSerial = (file) => file.endsWith('.serial.test.ts')
await tests.run(files.filter((file) => !isSerial(file)).map(start), Math.min(2, cpus().length))
await tests.run(files.filter(isSerial).map(start), 1)
tests.end()
