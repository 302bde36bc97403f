// Brings Zig's C++ compiler (90 MB, from PyPI), which builds for every platform from any, into build/zig. Where it cannot be had, says so.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const target = join(dirname(fileURLToPath(import.meta.url)), '..', 'build', 'zig')
const PACKAGE = 'ziglang==0.17.1'

/** Path of the compiler; undefined where it cannot be had. */
export function fetchZig() {
  const path = join(target, 'ziglang', process.platform === 'win32' ? 'zig.exe' : 'zig')
  if (existsSync(path)) return path
  const options = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--disable-pip-version-check', '--target', target, PACKAGE]
  const { status, stderr, error } = spawnSync('python3', options, { encoding: 'utf8', timeout: 300_000 })
  if (status === 0 && existsSync(path)) return path
  rmSync(target, { recursive: true, force: true })
  console.log(`SKIPPED fetching ${PACKAGE}: ${(error?.message ?? stderr ?? '').trim().split('\n').at(-1)}`)
  return undefined
}
