// Packs what run.sh needs beside the package on a machine without a network: the graphs that `make.py --weightless` wrote, what draws their weights, and
// shapes.ts as one file that goes into the package's dist.
//
//   node bench/shapes/pack.mjs FOLDERS TARGET
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import typescript from 'typescript'

const [folders, target] = process.argv.slice(2)
if (target === undefined) {
  console.error('Expected two folders: node bench/shapes/pack.mjs FOLDERS TARGET')
  process.exit(2)
}
const here = import.meta.dirname
mkdirSync(target, { recursive: true })
if (readdirSync(target).length > 0) {
  console.error(`Expected an empty folder, ${target} is not.`)
  process.exit(2)
}

const { ModuleKind, ScriptTarget, transpileModule } = typescript
const compilerOptions = { module: ModuleKind.CommonJS, target: ScriptTarget.ES2022, esModuleInterop: true }
const { outputText } = transpileModule(readFileSync(join(here, 'shapes.ts'), 'utf8'), { compilerOptions })
// In dist/shapes, the compiled package is one folder above.
writeFileSync(join(target, 'shapes.js'), outputText.replaceAll(/(['"])\.\.\/\.\.\/ts\/(.*?)\.ts\1/g, '"../$2.js"'))
for (const file of ['fill.py', 'run.sh']) copyFileSync(join(here, file), join(target, file))

const archive = join(target, 'folders.tar.xz')
const packed = spawnSync('tar', ['cJf', archive, '-C', folders, ...readdirSync(folders)], { stdio: 'inherit' })
if (packed.status !== 0) throw new Error(`tar ended with ${packed.status ?? packed.error}`)
const bytes = readdirSync(target).reduce((sum, file) => sum + statSync(join(target, file)).size, 0)
console.log(`${target}: ${(bytes / 2 ** 20).toFixed(1)} MiB`)
