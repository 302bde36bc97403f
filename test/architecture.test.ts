import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

/** What each folder of ts/ may import, beside itself and the leaves. ARCHITECTURE.md says why. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  schedule: [],
  solver: ['schedule'],
  policy: ['solver', 'schedule'],
  native: [],
  onnx: ['native'],
  sampler: ['policy', 'solver', 'schedule', 'native'],
  plan: ['sampler', 'policy', 'schedule', 'onnx', 'native'],
  engines: ['plan', 'onnx', 'sampler', 'native'],
  families: ['plan', 'onnx', 'sampler', 'solver', 'schedule', 'native'],
  pipeline: ['engines', 'families', 'plan', 'sampler', 'policy', 'solver', 'schedule', 'native'],
  metrics: ['families', 'native'],
  bench: ['metrics', 'pipeline', 'plan', 'sampler', 'policy', 'schedule', 'native'],
  cli: ['bench', 'metrics', 'pipeline', 'engines', 'families', 'plan', 'sampler', 'policy', 'native'],
}
const LEAVES = ['errors.ts', 'noise.ts', 'version.ts']

const root = join(__dirname, '..', 'ts')
const files = readdirSync(root, { recursive: true })
  .map((file) => String(file).replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'))
/** The files of ts/ that a file imports, also dynamically; `atRunTime`: not those it takes only types from. */
function importsOf(file: string, atRunTime = false): string[] {
  const whole = readFileSync(join(root, file), 'utf8')
  const code = atRunTime ? whole.replace(/^(?:import|export) type [^]*?from '[^']+'/gm, '') : whole
  const paths = [...code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)].map(([, path]) => path)
  return paths.map((path) => posix.normalize(posix.join(dirname(file), path)))
}
const folderOf = (file: string): string => file.split('/')[0]

test('imports go one way', () => {
  const wrong = files
    .filter((file) => file.includes('/'))
    .flatMap((file) => importsOf(file).map((imported) => [file, imported] as const))
    .filter(([file, imported]) => {
      const [from, to] = [folderOf(file), folderOf(imported)]
      return from !== to && !LEAVES.includes(imported) && !MAY_IMPORT[from]?.includes(to)
    })
    .map(([file, imported]) => `${file} imports ${imported}`)
  assert.equal(wrong, [])
  assert.equal([...new Set(files.filter((file) => file.includes('/')).map(folderOf))].sort(), Object.keys(MAY_IMPORT).sort())
})

test('leaves import leaves', () => {
  for (const leaf of LEAVES)
    for (const imported of importsOf(leaf)) assert.ok(LEAVES.includes(imported), `${leaf} imports ${imported}`)
})

test('no two files import each other, also in circles', () => {
  const onPath = new Set<string>()
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (file: string): void => {
    if (onPath.has(file)) circles.push([...onPath, file].slice([...onPath].indexOf(file)).join(' → '))
    if (onPath.has(file) || done.has(file)) return
    onPath.add(file)
    for (const imported of importsOf(file, true)) visit(imported)
    onPath.delete(file)
    done.add(file)
  }
  files.forEach(visit)
  assert.equal(circles, [])
})

test('only ts/native/load.ts opens a library, and every import can be followed', () => {
  for (const file of files) {
    const code = readFileSync(join(root, file), 'utf8')
    assert.is(/\bcreateRequire\b|\bdlopen\b/.test(code), file === 'native/load.ts', file)
    for (const imported of importsOf(file)) assert.ok(files.includes(imported), `${file} imports ${imported}`)
  }
})

test('native headers: the arithmetic includes nothing else of ours, backends no bindings', () => {
  const native = join(root, '..', 'native')
  const sources = readdirSync(native, { recursive: true })
    .map((file) => String(file).replaceAll('\\', '/'))
    .filter((file) => /\.(h|cpp|inl)$/.test(file))
  const may: Record<string, RegExp> = {
    math: /^math\//,
    cpu: /^(cpu|math)\/|^[a-z_]+\.h$/,
    engine: /^(engine|math)\/|^[a-z_]+\.h$/,
  }
  for (const file of sources.filter((each) => Object.hasOwn(may, folderOf(each)))) {
    const includes = [...readFileSync(join(native, file), 'utf8').matchAll(/^#include "([^"]+)"/gm)].map(([, path]) =>
      posix.normalize(posix.join(dirname(file), path)),
    )
    for (const included of includes) assert.match(included, may[folderOf(file)], `${file} includes ${included}`)
    assert.not.match(readFileSync(join(native, file), 'utf8'), /#include [<"](napi|node_api)/, file)
  }
})

test.run()
