// Builds the double of TensorRT's runtime that the tests of engines run on: build/tensorrt-double/libnvinfer.so.11, and beside it in rtx/
// the same under the names of TensorRT for RTX. Where TensorRT's public headers are not to be had, says so; the tests then skip themselves.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const headers = spawnSync(process.execPath, [join(root, 'scripts/find-tensorrt.mjs')], { encoding: 'utf8' }).stdout
if (headers === '') {
  console.log('SKIPPED the double of TensorRT: its headers are not here; TENSORRT_ROOT names their folder')
} else {
  const library = join(root, 'build', 'tensorrt-double', 'libnvinfer.so.11')
  mkdirSync(dirname(library), { recursive: true })
  const sources = [
    'test/engines/double/library.cpp',
    'test/engines/double/context.cpp',
    'native/engine/onnxruntime.cpp',
    'native/engine/onnxruntime_session.cpp',
  ]
  const flags = ['-std=c++17', '-O1', '-g', '-fPIC', '-shared', '-fvisibility=hidden', '-Wall', '-Wextra']
  const included = ['-isystem', join(root, 'native/engine/cuda_types'), '-isystem', headers]
  const linked = ['-lpthread', '-ldl', '-o', library]
  const { status } = spawnSync(
    process.env.CXX ?? 'g++',
    [...flags, ...included, ...sources.map((each) => join(root, each)), ...linked],
    {
      stdio: 'inherit',
    },
  )
  if (status === 0) {
    // The parser's entry points are in it as well.
    const rtx = join(dirname(library), 'rtx')
    mkdirSync(rtx, { recursive: true })
    copyFileSync(library, join(dirname(library), 'libnvonnxparser.so.11'))
    for (const name of ['libtensorrt_rtx.so.1', 'libtensorrt_onnxparser_rtx.so.1']) copyFileSync(library, join(rtx, name))
    console.log(library)
  }
  process.exitCode = status ?? 1
}
