import { join } from 'node:path'
import { asSadaError, findOnnxRuntime, loadAddon } from '../native/load.ts'
import { bundledModels, findModel } from '../pipeline/model-folder.ts'

// What `sada doctor` runs in a process of its own: loads a small network on a GPU through WebGPU, and writes what came of it.

async function probe(): Promise<string> {
  const engine = new (loadAddon().Engine)({ library: findOnnxRuntime(), kind: 'webgpu' })
  try {
    const [model] = bundledModels()
    await engine.load({ path: join(await findModel(model), 'text.onnx') })
    return `usable\tONNX Runtime ${engine.version} finds a GPU for it ("--engine webgpu")`
  } finally {
    await engine.dispose()
  }
}

probe()
  .catch((error: unknown) => `unusable\t${(asSadaError(error) as Error).message}`)
  .then((outcome) => process.stdout.write(outcome))
  .catch(() => {})
