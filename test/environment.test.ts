import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const root = join(__dirname, '..')
const sourcesOf = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true })
    .map(String)
    .filter((file) => /\.(ts|cpp|h|inl|cu)$/.test(file))
    .map((file) => readFileSync(join(root, folder, file), 'utf8'))

/** As code reads them; of C++ also the names that stand as texts, which may be read by way of a constant. */
const READ = /process\.env\.(\w+)|getenv\("(\w+)"\)|= "(SADA_\w+|ORT_\w+)"/g

test('the environment variables that the code reads are those in the table of docs/applications.md', () => {
  const read = ['ts', 'native', 'cuda'].flatMap(sourcesOf).flatMap((text) => [...text.matchAll(READ)])
  const names = new Set(read.map(([, ...found]) => found.find(Boolean)!))
  assert.ok(names.size > 10, `only ${names.size} were found`)
  const [, section] = readFileSync(join(root, 'docs', 'applications.md'), 'utf8').split('## Environment variables\n')
  const told = new Set([...section.split('\n## ')[0].matchAll(/`([A-Z]+(?:_[A-Z]+)*)`/g)].map(([, name]) => name))
  assert.equal([...told].sort(), [...names].sort())
})

test.run()
