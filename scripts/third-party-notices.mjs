// Writes the table of runtime dependencies into THIRD_PARTY_NOTICES.md from package-lock.json.
//
//   node scripts/third-party-notices.mjs [--check]     --check only says whether the file is as it should be
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))

const rows = Object.entries(packages)
  .filter(([path, entry]) => path !== '' && !entry.dev && !entry.devOptional && !entry.peer)
  .map(
    ([path, entry]) =>
      `| ${path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)} | ${entry.version} | ${entry.license} |`,
  )
  .sort()

const file = join(root, 'THIRD_PARTY_NOTICES.md')
const before = readFileSync(file, 'utf8')
const table = ['| package | version | licence |', '|---|---|---|', ...rows].join('\n')
const after = before.replace(
  /(<!-- packages:start[^>]*-->\n)[\s\S]*?(<!-- packages:end -->)/,
  (_, start, end) => `${start}${table}\n${end}`,
)

if (!process.argv.includes('--check')) writeFileSync(file, after)
else if (before !== after) {
  console.error('THIRD_PARTY_NOTICES.md does not match package-lock.json: run node scripts/third-party-notices.mjs')
  process.exitCode = 1
}
