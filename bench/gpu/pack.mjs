// Packs what `verify:gpu` needs on a machine without a network or Node: this Node binary, the built package with its run-time
// dependencies, the GPU library, its bench and its cases (g++ builds them), the bundled model, the script. In slices of at most 60 MiB.
//
//   npm run build && npm run build:cuda && node bench/gpu/pack.mjs [--engines] [FOLDER]      default: build/gpu-bundle
//
// --engines: also what runs networks on a GPU, as far as scripts/fetch-onnxruntime-gpu.mjs and scripts/fetch-tensorrt.mjs have brought it.
//
// The addon is the portable one where it has been built (node scripts/build-prebuilt.mjs linux-x64, after the last change to native/), else
// this machine's own.
//
// There: cat sada-gpu.tar.gz.* | tar xz && sada-gpu/verify
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findCases, PACKED } from '../../scripts/cuda-cases.mjs'
import { newestVersion } from '../../scripts/symbol-versions.mjs'

const SCRIPTS = [
  'scripts/verify-gpu.mjs',
  'scripts/cuda-cases.mjs',
  'scripts/gpu-engines.mjs',
  'scripts/gpu-lifecycle.mjs',
  'scripts/gpu-memory.mjs',
  'scripts/gpu-speed.mjs',
  'scripts/limited.mjs',
  'cuda/bench_torch.py',
]
const SLICE = 60 * 2 ** 20
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const { values, positionals } = parseArgs({ options: { engines: { type: 'boolean', default: false } }, allowPositionals: true })
const target = resolve(positionals[0] ?? join(root, 'build', 'gpu-bundle'))
/** Where the fetching scripts put an engine, and the variable that names it. */
const ENGINES = {
  onnxruntime: { from: join(root, 'build', 'onnxruntime-gpu', 'onnxruntime', 'capi'), variable: 'SADA_ONNXRUNTIME_PATH' },
  tensorrt: { from: join(root, 'build', 'tensorrt', 'tensorrt_rtx_libs'), variable: 'SADA_TENSORRT_PATH' },
}
const name = 'sada-gpu'
const stage = join(target, name)

const platform = `${process.platform}-${process.arch}`
const library = join(root, 'prebuilt', platform, 'libsada_cuda.so')
for (const needed of [join(root, 'dist', 'index.js'), library]) {
  if (!existsSync(needed)) {
    console.error(`${needed} is missing: npm run build && npm run build:cuda`)
    process.exit(1)
  }
}

const { program, reason } = findCases(root)
if (program === undefined) {
  console.error(reason)
  process.exit(1)
}

// Of what is in the folder only what an earlier call has left.
for (const file of existsSync(target) ? readdirSync(target) : []) {
  if (file === name || file.startsWith(`${name}.tar.gz`)) rmSync(join(target, file), { recursive: true })
}
mkdirSync(stage, { recursive: true })
const copy = (path) => cpSync(join(root, path), join(stage, path), { recursive: true, dereference: true })
for (const path of ['package.json', 'dist', 'prebuilt', 'models/avatar', ...SCRIPTS]) copy(path)
const bench = [join(root, 'build', 'sada_cuda_bench'), join(root, 'build', 'cuda', 'Release', 'sada_cuda_bench')].find(existsSync)
if (bench) cpSync(bench, join(stage, 'sada_cuda_bench'))
cpSync(program, join(stage, PACKED))
const portable = join(root, 'build', 'prebuilt', platform, 'sada.node')
if (existsSync(portable)) cpSync(portable, join(stage, 'prebuilt', platform, 'sada.node'))
else console.log(`The addon is this machine's own: "node scripts/build-prebuilt.mjs ${platform}" makes one for older machines.`)
// Run-time dependencies, and theirs.
const listed = spawnSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: root, encoding: 'utf8' }).stdout
for (const folder of listed.split('\n').filter((line) => line.includes('node_modules'))) copy(folder.slice(root.length + 1))
const engines = Object.entries(ENGINES).filter(([name, { from }]) => {
  if (values.engines && !existsSync(from)) console.log(`Without ${name}: ${from} does not exist.`)
  return values.engines && existsSync(from)
})
for (const [name, { from }] of engines) {
  const libraries = readdirSync(from).filter((file) => /\.so(\.|$)/.test(file) && !/pybind11|providers_tensorrt/.test(file))
  for (const file of libraries) cpSync(join(from, file), join(stage, 'engines', name, file), { dereference: true })
}
cpSync(process.execPath, join(stage, 'node'))
chmodSync(join(stage, 'node'), 0o755)
const commit = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).stdout.trim()
writeFileSync(
  join(stage, 'verify'),
  [
    '#!/bin/sh',
    'cd "$(dirname "$0")" || exit',
    ...engines.map(([name, { variable }]) => `export ${variable}="\${${variable}:-$PWD/engines/${name}}"`),
    `SADA_COMMIT=${commit} exec ./node scripts/verify-gpu.mjs "$@"\n`,
  ].join('\n'),
  { mode: 0o755 },
)

const programs = [
  ...['node', PACKED, 'sada_cuda_bench'].map((file) => join(stage, file)),
  ...readdirSync(join(stage, 'prebuilt', platform)).map((file) => join(stage, 'prebuilt', platform, file)),
].filter(existsSync)
for (const [symbols, what] of [
  ['GLIBC', 'glibc'],
  ['GLIBCXX', 'libstdc++ with GLIBCXX'],
]) {
  const needed = newestVersion(symbols, programs)
  if (needed)
    console.log(`needs ${what} ${needed.version} or later, for ${needed.files.map((file) => basename(file)).join(', ')}`)
}

const archive = join(target, `${name}.tar.gz`)
const packed = spawnSync('tar', ['czf', archive, '-C', target, name], { stdio: 'inherit' })
if (packed.status !== 0) throw new Error(`tar ended with ${packed.status ?? packed.error}`)
rmSync(stage, { recursive: true })

const from = openSync(archive, 'r')
const buffer = Buffer.alloc(SLICE)
let slices = 0
for (let read = readSync(from, buffer); read > 0; read = readSync(from, buffer)) {
  writeFileSync(`${archive}.${String(slices++).padStart(2, '0')}`, buffer.subarray(0, read))
}
closeSync(from)
const bytes = readFileSync(archive).length
rmSync(archive)
console.log(`${target}: ${slices} slices of ${basename(archive)}, ${(bytes / 2 ** 20).toFixed(1)} MiB in all`)
