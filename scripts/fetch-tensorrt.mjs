// Brings TensorRT for RTX (95 MB, from PyPI) into build/tensorrt for the tests of its builder, which needs no GPU. Where it cannot be
// had, says so; the tests then skip themselves.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const target = join(dirname(fileURLToPath(import.meta.url)), '..', 'build', 'tensorrt')
const PACKAGE = 'tensorrt-rtx-cu13-libs==1.7.1.116'

if (existsSync(join(target, 'tensorrt_rtx_libs', 'libtensorrt_rtx.so.1'))) {
  console.log('TensorRT for RTX is in build/tensorrt')
} else {
  const options = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--disable-pip-version-check', '--target', target, PACKAGE]
  const { status, stderr, error } = spawnSync('python3', options, { encoding: 'utf8', timeout: 300_000 })
  if (status !== 0) {
    rmSync(target, { recursive: true, force: true })
    const why = (error?.message ?? stderr ?? '').trim().split('\n').at(-1)
    console.log(`SKIPPED fetching ${PACKAGE}: ${why}`)
  }
}
