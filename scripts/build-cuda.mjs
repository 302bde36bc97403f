// Builds the library of CUDA kernels and its bench with CMake, and puts the library beside the addon: prebuilt/<platform>-<arch>/.
// Needs nvcc 13 and CMake 3.24; building the addon itself needs neither.
//
//   node scripts/build-cuda.mjs [architectures]          e.g. native, or 89-real;90: CMake's list, instead of all
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, renameSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const folder = join(root, 'build', 'cuda')
const target = join(root, 'prebuilt', `${process.platform}-${process.arch}`)
const library = process.platform === 'win32' ? 'sada_cuda.dll' : 'libsada_cuda.so'

const cmakeJs = join(dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js')
function cmake(command, ...options) {
  const { status, error } = spawnSync(
    process.execPath,
    [cmakeJs, command, '--directory', root, '--out', folder, '--log-level', 'warn', ...options],
    { cwd: root, stdio: 'inherit' },
  )
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}
// Configured each time: cmake-js alone would build again with the architectures of before.
cmake('configure', `--CDSADA_CUDA_ARCHITECTURES=${process.argv[2] ?? ''}`)
cmake('build', '--parallel', String(availableParallelism()))

// Never written in place: another process may have the old file mapped.
mkdirSync(target, { recursive: true })
const unfinished = join(target, `${library}.${process.pid}`)
copyFileSync(join(folder, 'Release', library), unfinished)
renameSync(unfinished, join(target, library))
console.log(`prebuilt/${process.platform}-${process.arch}/${library} is ready`)
