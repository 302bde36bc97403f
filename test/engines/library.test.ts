import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openTensorRt } from '../../ts/engines/library.ts'
import { emptyFolder } from '../support/spawn.ts'
import { hasTensorRtDouble, tensorRtDouble } from '../support/tensorrt-double.ts'

/** Where TensorRT is looked for. */

const NAMES = ['libnvinfer.so.11', 'libnvinfer.so.10', 'libtensorrt_rtx.so.1']
const PLACES = ['VIRTUAL_ENV', 'CONDA_PREFIX', 'SADA_TENSORRT_PATH', 'TENSORRT_ROOT']

const base = emptyFolder()
const made = (...parts: string[]): string => {
  mkdirSync(join(base, ...parts), { recursive: true })
  return join(base, ...parts)
}

/** What is said of each place that is tried in such an environment, in order; undefined where a library was opened. */
function tried(env: Readonly<Record<string, string>>, path?: string): [place: string, said: string][] | undefined {
  for (const name of PLACES) process.env[name] = env[name] ?? ''
  process.env.HOME = made('home')
  try {
    openTensorRt(path)
    return undefined
  } catch (error) {
    const lines = (error as Error).message.split('\n').filter((line) => line.startsWith('  '))
    return lines.map((line): [string, string] => [line.trim().split(': ')[0], line.split(': ').slice(1).join(': ')])
  }
}
const placesOf = (...given: Parameters<typeof tried>): string[] | undefined => tried(...given)?.map(([place]) => place)

/** A folder with files that are no libraries. */
function holding(names: readonly string[], ...parts: string[]): string {
  const folder = made(...parts)
  for (const name of names) writeFileSync(join(folder, name), 'not a library')
  return folder
}

const onLinux = process.platform === 'linux' ? test : test.skip
if (onLinux !== test) console.log('SKIPPED the names of libraries: on other systems they are others.')

onLinux('a folder is what the call names, else the environment; of its libraries those that are there are tried', () => {
  const [named, other] = [holding(NAMES.slice(1), 'named'), holding(NAMES, 'other')]
  assert.equal(
    placesOf({ SADA_TENSORRT_PATH: other }, named),
    NAMES.slice(1).map((name) => join(named, name)),
  )
  assert.equal(
    placesOf({ SADA_TENSORRT_PATH: other }),
    NAMES.map((name) => join(other, name)),
  )
  const empty = made('empty')
  assert.equal(
    tried({}, empty),
    NAMES.map((name) => [join(empty, name), 'does not exist']),
  )
})

onLinux('else TensorRT’s own folder, those of pip, and last what the system’s loader finds', () => {
  const root = made('root')
  const [lib, bin] = [holding(NAMES.slice(0, 1), 'root', 'lib'), holding(NAMES.slice(1, 2), 'root', 'bin')]
  const site = ['venv', 'lib', 'python3.12', 'site-packages']
  const [rtx, plain] = [
    holding(NAMES.slice(2), ...site, 'tensorrt_rtx_libs'),
    holding(NAMES.slice(0, 1), ...site, 'tensorrt_libs'),
  ]
  const all = tried({ TENSORRT_ROOT: root, VIRTUAL_ENV: join(base, 'venv') })
  // Where TensorRT is installed the last place is the first that opens.
  if (all === undefined) return
  assert.equal(
    all.map(([place]) => place),
    [join(lib, NAMES[0]), join(bin, NAMES[1]), join(rtx, NAMES[2]), join(plain, NAMES[0]), ...NAMES],
  )
  for (const [place, said] of all) assert.is.not(said, 'does not exist', place)
  assert.equal(placesOf({}), NAMES)
})

onLinux('a file of another number than a library’s is none of them', () => {
  const folder = holding(['libnvinfer.so.110'], 'number')
  for (const name of PLACES) process.env[name] = ''
  assert.throws(() => openTensorRt(join(folder, 'libnvinfer.so.110')), /"tensorrt" to be TensorRT's folder, or a file named/)
})

onLinux('the parser is the one beside the library', () => {
  if (!hasTensorRtDouble()) return
  const folder = made('without')
  copyFileSync(tensorRtDouble, join(folder, 'libnvinfer.so.11'))
  const [[place, said]] = tried({}, join(folder, 'libnvinfer.so.11'))!
  assert.is(place, join(folder, 'libnvinfer.so.11'))
  assert.match(said, join(folder, 'libnvonnxparser.so.11'))
})

test.run()
