// C++ and CUDA in the one format of .clang-format: `--write` mends it; without, what has another is an error.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const files = ['native', 'cuda', 'test'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .map(String)
    .filter((name) => /\.(h|cpp|cu|cuh|inl)$/.test(name))
    .map((name) => join(folder, name)),
)
const package_ = dirname(createRequire(import.meta.url).resolve('clang-format'))
const { platform, arch } = process
const program = join(package_, 'bin', platform === 'win32' ? 'win32/clang-format.exe' : `${platform}_${arch}/clang-format`)
if (existsSync(program)) {
  const action = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror']
  const { status, error } = spawnSync(program, [...action, '--style=file', ...files], { cwd: root, stdio: 'inherit' })
  if (error) throw error
  process.exitCode = status ?? 1
} else console.warn(`clang-format has no program for ${platform} ${arch}: the format of C++ and CUDA is not looked at.`)
