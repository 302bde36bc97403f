import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** The GPU kernels compiled for the processor, behind the table of the real library; `npm run test:cuda` builds it. */
export const emulatedGpu = process.env.SADA_EMULATED_GPU ?? join(__dirname, '../../build/cuda-emulated/libsada_cuda_emulated.so')

/** Whether it is there; where it is not, says so. */
export function hasEmulatedGpu(): boolean {
  if (existsSync(emulatedGpu)) return true
  console.log(`SKIPPED: ${emulatedGpu} is not built; "npm run test:cuda" builds it.`)
  return false
}
