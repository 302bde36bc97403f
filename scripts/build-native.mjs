// Builds the addon with node-gyp and puts it where the package carries it: prebuilt/<platform>-<arch>/, with ONNX Runtime's CPU library
// from the development dependency `onnxruntime-node` beside it.
//
//   node scripts/build-native.mjs [--debug]
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const platform = `${process.platform}-${process.arch}`
const target = join(root, 'prebuilt', platform)

/** Node's own headers where they are installed beside it, so that node-gyp need not download them. */
function headers() {
  const prefix = join(dirname(process.execPath), '..')
  return existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? [`--nodedir=${prefix}`] : []
}

function run(command, ...args) {
  const { status, error } = spawnSync(process.execPath, [command, ...args], { cwd: root, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

const gyp = require.resolve('node-gyp/bin/node-gyp.js')
run(gyp, 'configure', ...headers(), '--loglevel=warn')
run(gyp, 'build', '-j', String(cpus().length), '--loglevel=warn')

/** Never written in place: another process may have the old file mapped. */
function replace(source, destination) {
  const unfinished = `${destination}.${process.pid}`
  copyFileSync(source, unfinished)
  renameSync(unfinished, destination)
}

mkdirSync(target, { recursive: true })
replace(join(root, 'build', 'Release', 'sada.node'), join(target, 'sada.node'))

const runtime = dirname(require.resolve('onnxruntime-node/package.json'))
const libraries = { linux: 'libonnxruntime.so.1', darwin: 'libonnxruntime.dylib', win32: 'onnxruntime.dll' }
const library = libraries[process.platform]
const source = join(runtime, 'bin', 'napi-v6', process.platform, process.arch, library)
if (existsSync(source)) {
  replace(source, join(target, library))
  // The npm package leaves them out; these are those of its Python wheel of the same version.
  for (const notice of ['onnxruntime-LICENSE', 'onnxruntime-ThirdPartyNotices.txt']) {
    copyFileSync(join(root, 'licenses', notice), join(target, notice))
  }
} else {
  console.warn(`onnxruntime-node has no ${library} for ${platform}: set SADA_ONNXRUNTIME_PATH to one.`)
}
console.log(`prebuilt/${platform} is ready`)
