// The package has one implementation, CommonJS; ES modules get the same objects through this thin wrapper, so that state and
// `instanceof` are shared by both.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist')
for (const entry of ['index', join('metrics', 'index')]) {
  const names = Object.keys(createRequire(import.meta.url)(join(dist, `${entry}.js`))).filter((name) => name !== '__esModule')
  writeFileSync(
    join(dist, `${entry}.mjs`),
    `import sada from './index.js'\n${names.map((name) => `export const ${name} = sada.${name}\n`).join('')}`,
  )
  // The declarations of the one implementation, seen as an ES module.
  writeFileSync(join(dist, `${entry}.d.mts`), readFileSync(join(dist, `${entry}.d.ts`), 'utf8'))
}
// npm makes programs executable where it installs them; in a checkout `npx sada` takes them as they are.
for (const name of ['sada', 'sada-bench']) chmodSync(join(dist, 'cli', `${name}.js`), 0o755)
