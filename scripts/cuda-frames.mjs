// What the kernels have on their threads' stacks, as ptxas says. A driver sets that aside for every thread that a GPU can hold, of the largest
// frame: a kilobyte of one thread is hundreds of megabytes of a large GPU, and in no quote of memory.
import { spawnSync } from 'node:child_process'
import { basename } from 'node:path'

/** Bytes of a thread; some architectures need a few for an array that others keep in registers. */
export const MOST_BYTES = 64

/** The frames of the kernels of a file, in bytes, by name. Throws where it does not compile. */
export function framesOf(source, architecture = 'sm_90') {
  const flags = ['-std=c++17', '-O3', '-fmad=false', `-arch=${architecture}`, '-Xptxas', '-v', '-cubin', '-o', '/dev/null']
  const { status, stderr } = spawnSync('nvcc', [...flags, source], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${basename(source)}: ${stderr}`)
  const told = stderr.matchAll(/Compiling entry function '([^']+)'[^]*?(\d+) bytes stack frame/g)
  return Object.fromEntries([...told].map(([, kernel, bytes]) => [kernel, Number(bytes)]))
}

/** Those that are larger than they may be, in words, and how many kernels there are. */
export function largeFrames(sources) {
  const frames = sources.flatMap((source) => Object.entries(framesOf(source)))
  const large = frames.filter(([, bytes]) => bytes > MOST_BYTES).map(([kernel, bytes]) => `${kernel}: ${bytes} bytes`)
  return { kernels: frames.length, large }
}
