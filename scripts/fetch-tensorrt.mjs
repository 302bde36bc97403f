// Brings TensorRT for RTX (95 MB, from PyPI) into build/tensorrt for the tests of its builder, which needs no GPU; and NVIDIA's bindings of
// every version that is served (4 MB), which say where its functions are. What cannot be had is told; the tests then skip themselves.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const build = join(dirname(fileURLToPath(import.meta.url)), '..', 'build')
// The bindings are for a Python of their own, which is never started.
const FOR_PYTHON = ['--python-version', '3.11', '--only-binary=:all:', '--platform', 'manylinux_2_28_x86_64']

/** Installs a package of pip's into a folder, without what it depends on. */
function fetch(name, version, folder, file, options = []) {
  const target = join(build, folder)
  if (existsSync(join(target, file))) {
    console.log(`${name} ${version} is in build/${folder}`)
    return
  }
  const command = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--disable-pip-version-check', '--target', target, ...options]
  const { status, stderr, error } = spawnSync('python3', [...command, `${name}==${version}`], {
    encoding: 'utf8',
    timeout: 300_000,
  })
  if (status !== 0) {
    rmSync(target, { recursive: true, force: true })
    const why = (error?.message ?? stderr ?? '').trim().split('\n').at(-1)
    console.log(`SKIPPED fetching ${name} ${version}: ${why}`)
  }
}

fetch('tensorrt-rtx-cu13-libs', '1.7.1.116', 'tensorrt', join('tensorrt_rtx_libs', 'libtensorrt_rtx.so.1'))
for (const version of ['1.5.0.114', '1.6.1.120', '1.7.1.116']) {
  const folder = join('tensorrt-bindings', version)
  fetch('tensorrt-rtx-cu13-bindings', version, folder, join('tensorrt_rtx_bindings', 'tensorrt_rtx.so'), FOR_PYTHON)
}
