import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cppFunctionsOf, functionsOf } from './support/functions.ts'

// Small files and functions are read; large ones are scrolled through.
const LINES_OF_A_FILE = 300
const LINES_OF_A_FUNCTION = 40

/** What may be longer, how long at most, and why. */
const EXCEPTIONS: Record<string, { lines: number; reason: string }> = {
  'ts/bench/report/guide.ts guide': { lines: 65, reason: 'a page of prose' },
  'ts/bench/report/table.ts group': { lines: 60, reason: 'markup of one table row after the other' },
  'ts/bench/report/case.ts card': { lines: 50, reason: 'markup' },
  'ts/bench/report/case.ts caseSection': { lines: 50, reason: 'markup' },
  'ts/bench/report/page.ts reportPage': { lines: 50, reason: 'markup' },
  'ts/bench/report/plots.ts closenessPlot': { lines: 45, reason: 'one plot, described as data' },
  'ts/bench/table1/page.ts card': { lines: 50, reason: 'markup' },
  'ts/bench/table1/assemble.ts describe': { lines: 60, reason: 'one field of the published schema after the other' },
  'ts/bench/table1/run.ts write': { lines: 45, reason: 'one field of the journal after the other' },
  'ts/bench/case.ts describeCase': { lines: 60, reason: 'one field of the published schema after the other' },
}

const root = join(__dirname, '..')
const sources = ['ts', 'native', 'test', 'bench', 'scripts', 'examples']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((file) => `${folder}/${String(file).replaceAll('\\', '/')}`),
  )
  .filter(
    (file) =>
      /\.(m?ts|mjs|cjs|js|cpp|h|inl)$/.test(file) && !file.startsWith('test/fixtures/') && !file.includes('/node_modules/'),
  )
const text = (file: string): string => readFileSync(join(root, file), 'utf8')

test(`a file has at most ${LINES_OF_A_FILE} lines`, () => {
  const longer = sources
    .map((file) => [file, text(file).split('\n').length - 1] as const)
    .filter(([, lines]) => lines > LINES_OF_A_FILE)
  assert.equal(longer, [])
})

test(`a function has at most ${LINES_OF_A_FUNCTION} lines; exceptions are named, and still needed`, () => {
  const sizes = sources
    .filter((file) => file.startsWith('ts/') || file.startsWith('native/'))
    .flatMap((file) =>
      (file.endsWith('.ts') ? functionsOf(file, text(file)) : cppFunctionsOf(text(file))).map((each) => ({
        ...each,
        name: `${file} ${each.name}`,
      })),
    )
  assert.ok(sizes.length > 500, `only ${sizes.length} functions were found`)
  const longer = sizes.filter(({ lines }) => lines > LINES_OF_A_FUNCTION)
  assert.equal(
    longer.filter(({ name, lines }) => lines > (EXCEPTIONS[name]?.lines ?? 0)),
    [],
  )
  assert.equal(
    Object.keys(EXCEPTIONS).filter((name) => !longer.some((each) => each.name === name)),
    [],
    'exceptions that are no longer needed',
  )
})

test('functions are measured from their signature to their end', () => {
  assert.equal(functionsOf('a.ts', 'const f = (\n  x: number,\n) => {\n  return x\n}\nclass A {\n  m(): void {}\n}\n'), [
    { name: 'f', lines: 5 },
    { name: 'm', lines: 1 },
  ])
  assert.equal(
    cppFunctionsOf(
      'struct A {\n  void f() const {\n    if (x) { g("{"); }\n  }\n};\nint g(int a,\n      int b) {\n  return a;\n}\n',
    ),
    [
      { name: 'f', lines: 3 },
      { name: 'g', lines: 4 },
    ],
  )
})

test.run()
