// Builds the double of a GPU build of ONNX Runtime that tests of its CUDA provider run on: build/onnxruntime-double/libonnxruntime.so.1.
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const library = join(root, 'build', 'onnxruntime-double', 'libonnxruntime.so.1')
mkdirSync(dirname(library), { recursive: true })
const flags = ['-std=c++17', '-O1', '-g', '-fPIC', '-shared', '-fvisibility=hidden', '-Wall', '-Wextra']
const source = join(root, 'test/engines/onnxruntime-double/library.cpp')
const { status } = spawnSync(process.env.CXX ?? 'g++', [...flags, source, '-ldl', '-o', library], { stdio: 'inherit' })
// What tells a GPU build by its folder.
if (status === 0) writeFileSync(join(dirname(library), 'libonnxruntime_providers_cuda.so'), '')
if (status === 0) console.log(library)
process.exitCode = status ?? 1
