// Prints the folder of TensorRT's public headers, or nothing: then the addon is built without TensorRT. Used by binding.gyp.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const named = process.env.TENSORRT_ROOT
const folders = [...(named ? [join(named, 'include')] : []), join(root, '..', 'shared', 'sdk', 'tensorrt', 'include')]
process.stdout.write(folders.find((folder) => existsSync(join(folder, 'NvOnnxParser.h'))) ?? '')
