// Brings ONNX Runtime with its CUDA provider (256 MB, from PyPI) into build/onnxruntime-gpu for the test that it says why it cannot work
// without a GPU. Where it cannot be had, says so; the test then skips itself.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const target = join(dirname(fileURLToPath(import.meta.url)), '..', 'build', 'onnxruntime-gpu')
const PACKAGE = 'onnxruntime-gpu==1.31.1'

if (existsSync(join(target, 'onnxruntime', 'capi', 'libonnxruntime_providers_cuda.so'))) {
  console.log('ONNX Runtime for GPUs is in build/onnxruntime-gpu')
} else {
  const options = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--disable-pip-version-check', '--target', target, PACKAGE]
  const { status, stderr, error } = spawnSync('python3', options, { encoding: 'utf8', timeout: 600_000 })
  if (status !== 0) {
    rmSync(target, { recursive: true, force: true })
    const why = (error?.message ?? stderr ?? '').trim().split('\n').at(-1)
    console.log(`SKIPPED fetching ${PACKAGE}: ${why}`)
  }
}
