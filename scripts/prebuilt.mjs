// Where the package carries an addon: prebuilt/<platform>-<arch>/, with ONNX Runtime's CPU library of that platform beside it, from the
// development dependency `onnxruntime-node`.
import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const runtime = join(dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')), 'bin', 'napi-v6')
const libraries = { linux: 'libonnxruntime.so.1', darwin: 'libonnxruntime.1.dylib', win32: 'onnxruntime.dll' }

/** Never written in place: another process may have the old file mapped. */
function replace(source, destination) {
  const unfinished = `${destination}.${process.pid}`
  copyFileSync(source, unfinished)
  renameSync(unfinished, destination)
}

/** Puts an addon for `platform`, `linux-x64` say, into the package. */
export function putPrebuilt(addon, platform) {
  const target = join(root, 'prebuilt', platform)
  const [system, arch] = platform.split('-')
  const library = libraries[system]
  const source = join(runtime, system, arch, library)
  mkdirSync(target, { recursive: true })
  replace(addon, join(target, 'sada.node'))
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
}
