// Builds the addon for every platform that the package is published for, on any of them, with Zig's C++ compiler, and puts each where the
// package carries it. Sources and flags are those of binding.gyp.
//
//   node scripts/build-prebuilt.mjs [platform…]          all of `targets` where none is named
//   node scripts/build-prebuilt.mjs --if-publishing      of `npm publish`, which runs `prepare` last: all; of anything else: nothing
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { fetchZig } from './fetch-zig.mjs'
import { putPrebuilt, root } from './prebuilt.mjs'

const require = createRequire(import.meta.url)

/** Zig's names. Of Linux with the C library that ONNX Runtime asks for, the C++ library inside: what a distribution of 2018 can load. */
const targets = {
  'linux-x64': 'x86_64-linux-gnu.2.28',
  'linux-arm64': 'aarch64-linux-gnu.2.28',
  'darwin-arm64': 'aarch64-macos.13.0',
  'win32-x64': 'x86_64-windows-gnu',
}

/** binding.gyp is a literal of Python. */
function readGyp() {
  const code = "import ast, json; print(json.dumps(ast.literal_eval(open('binding.gyp').read())))"
  const { status, stdout, stderr } = spawnSync('python3', ['-c', code], { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`Cannot read binding.gyp: ${stderr}`)
  return JSON.parse(stdout)
}

/** TensorRT's interfaces are C++ classes as this machine's compilers lay them out, and its library is for Linux. */
function tensorRtHeaders(platform) {
  if (platform !== 'linux-x64') return ''
  return spawnSync(process.execPath, [join(root, 'scripts', 'find-tensorrt.mjs')], { encoding: 'utf8' }).stdout
}

function flagsFor(platform, { target_defaults: { defines, cflags, cflags_cc } }) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const tensorRt = tensorRtHeaders(platform)
  return [
    ...['-target', targets[platform], '-fPIC', ...cflags, ...cflags_cc],
    ...defines.map((define) => `-D${define.replace('<(sada_version)', version)}`),
    ...['-I', require('node-addon-api').include_dir, '-I', require('node-api-headers').include_dir],
    ...(platform.endsWith('-x64') ? ['-DSADA_X86_64_V3'] : []),
    ...(platform.startsWith('win32') ? ['-DNAPI_EXTERN=__declspec(dllimport)'] : []),
    ...(tensorRt ? ['-DSADA_TENSORRT', '-isystem', join(root, 'native/engine/cuda_types'), '-isystem', tensorRt] : []),
  ]
}

/**
 * What gives a Windows addon its Node-API. An import would name the file that exports it, and an app made with Electron is not called
 * node.exe: the functions are looked up in the program itself, once, before anything calls them.
 */
function windowsNodeApi(folder) {
  const { symbols } = require('node-api-headers')
  const names = Object.values(symbols).flatMap(({ js_native_api_symbols, node_api_symbols }) => [
    ...js_native_api_symbols,
    ...node_api_symbols,
  ])
  const path = join(folder, 'node_api.c')
  const each = [...new Set(names)].map((name) => `  X(${name}) \\\n`).join('')
  writeFileSync(
    path,
    `#include <windows.h>
#define EACH(X) \\\n${each}
#define DEFINE(name) void* __imp_##name;
#define FIND(name) __imp_##name = (void*)GetProcAddress(program, #name);
EACH(DEFINE)
__attribute__((constructor(101))) static void find(void) {
  const HMODULE program = GetModuleHandleW(0);
  EACH(FIND)
}
`,
  )
  return path
}

function start(zig, args) {
  const child = spawn(zig, args, { cwd: root, stdio: 'inherit' })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`zig ${args.join(' ')} ended with ${code}`))))
  })
}

/**
 * The C++ library of Zig for a platform, which the first link would build on one core less than there are, of two on one: `c++` takes no number of
 * jobs. The link then finds it in Zig's cache. (It was seen to for Windows alone.)
 */
function buildRuntime(zig, platform, source, folder) {
  const jobs = `-j${2 * availableParallelism()}`
  const library = `-femit-bin=${join(folder, 'runtime.dll')}`
  return start(zig, ['build-lib', '-dynamic', '-fstrip', '-target', targets[platform], '-lc', '-lc++', jobs, source, library])
}

async function build(zig, platform, gyp) {
  const isWindows = platform.startsWith('win32')
  const folder = join(root, 'build', 'prebuilt', platform)
  mkdirSync(folder, { recursive: true })
  const flags = flagsFor(platform, gyp)
  const [wide, addon] = gyp.targets
  const { sources, cflags } = wide.conditions[0][1]
  const jobs = addon.sources.map((source) => [source, ['c++', ...flags]])
  if (platform.endsWith('-x64')) jobs.push([sources[0], ['c++', ...flags, ...cflags]])
  const nodeApi = isWindows ? windowsNodeApi(folder) : undefined
  if (isWindows) jobs.push([nodeApi, ['cc', '-target', targets[platform], '-O2']])
  const objects = jobs.map(([source]) => join(folder, `${relative(root, resolve(root, source)).replaceAll(/[/\\]/g, '-')}.o`))
  const left = jobs.map(([source, command], k) => [...command, '-c', source, '-o', objects[k]])
  const next = async () => {
    for (let args = left.shift(); args; args = left.shift()) await start(zig, args)
  }
  const runtime = isWindows ? [buildRuntime(zig, platform, nodeApi, folder)] : []
  await Promise.all([...runtime, ...Array.from({ length: availableParallelism() }, next)])
  // On a Mac the program that loads it has the functions of Node-API; the name is what a library may be linked by, and is asked for.
  const lazy = platform.startsWith('darwin') ? ['-Wl,-undefined,dynamic_lookup', '-Wl,-install_name,@rpath/sada.node'] : []
  const library = join(folder, 'sada.node')
  await start(zig, ['c++', '-target', targets[platform], '-shared', '-s', ...lazy, ...objects, '-o', library])
  putPrebuilt(library, platform)
  // What is linked in asks for its licence.
  const notices = { 'libcxx-LICENSE': 'libcxx/LICENSE.TXT', ...(isWindows && { 'mingw-w64-COPYING': 'libc/mingw/COPYING' }) }
  for (const [name, notice] of Object.entries(notices))
    copyFileSync(join(dirname(zig), 'lib', notice), join(root, 'prebuilt', platform, name))
}

const { values, positionals } = parseArgs({ options: { 'if-publishing': { type: 'boolean' } }, allowPositionals: true })
if (values['if-publishing'] && process.env.npm_command !== 'publish') process.exit(0)
const asked = positionals.length > 0 ? positionals : Object.keys(targets)
const unknown = asked.filter((platform) => !(platform in targets))
if (unknown.length > 0) {
  console.error(`Expected platforms among ${Object.keys(targets).join(', ')}; got ${unknown.join(', ')}.`)
  process.exit(2)
}
const zig = fetchZig()
if (zig === undefined) process.exit(3)
const gyp = readGyp()
for (const platform of asked) await build(zig, platform, gyp)
// The library of CUDA kernels for Linux x64 goes with them: without it nobody who installs the package can use a GPU.
if (values['if-publishing'])
  process.exitCode = spawnSync(process.execPath, [join(root, 'scripts', 'build-cuda.mjs')], { stdio: 'inherit' }).status ?? 1
