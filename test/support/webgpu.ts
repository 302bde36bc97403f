import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** SwiftShader: a GPU for Vulkan that is a program. It is found at the start of a process alone, so that what uses it is a process of its own. */
const SWIFTSHADER = join(__dirname, '../../build/swiftshader')
const DIST = join(__dirname, '../../dist')

/** Whether it is there; where not, says so. */
export function hasSwiftShader(): boolean {
  if (existsSync(join(SWIFTSHADER, 'libvk_swiftshader.so'))) return true
  console.log('SKIPPED networks by WebGPU: there is no SwiftShader; "node scripts/fetch-swiftshader.mjs" brings it.')
  return false
}

export interface Outcome {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  /** What the script told, as it was told. */
  readonly told: readonly unknown[]
  readonly errors: string
}

/**
 * Runs the body of an asynchronous function in a process that has SwiftShader, or no device at all. It is given `load` and `addon`, the library it
 * has ONNX Runtime in, and `tell`, for what the test shall know.
 */
export function withWebGpu(body: string, device: 'swiftshader' | 'none' = 'swiftshader'): Promise<Outcome> {
  const script = `
    const { load } = require(${JSON.stringify(join(DIST, 'index.js'))})
    const { loadAddon, findOnnxRuntime } = require(${JSON.stringify(join(DIST, 'native/load.js'))})
    const [addon, library] = [loadAddon(), findOnnxRuntime()]
    const tell = (value) => require('node:fs').writeSync(1, JSON.stringify(value) + '\\n')
    ;(async () => { ${body} })()`
  const icd = device === 'none' ? '/dev/null' : join(SWIFTSHADER, 'vk_swiftshader_icd.json')
  const env = {
    ...process.env,
    LD_LIBRARY_PATH: SWIFTSHADER,
    VK_ICD_FILENAMES: icd,
    XDG_RUNTIME_DIR: '/tmp',
    NODE_NO_WARNINGS: '1',
  }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['-e', script], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [output, errors] = ['', '']
    child.stdout.on('data', (text) => (output += String(text)))
    child.stderr.on('data', (text) => (errors += String(text)))
    child.on('error', reject)
    child.on('close', (status, signal) => {
      const told = output.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as unknown]))
      resolve({ status, signal, told, errors })
    })
  })
}
