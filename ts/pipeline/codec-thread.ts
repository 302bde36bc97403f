import { extname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { SadaError } from '../errors.ts'
import type { Pixels } from '../families/family.ts'
import { pixelsIn, runCodec, type CodecTask } from './codec.ts'

/** Tasks of more pixels are made beside the event loop, which they would hold for longer than a step of a small network. */
const MOST_INLINE = 2 ** 16
const FILE = join(__dirname, `codec-worker${extname(__filename)}`)

export interface CodecCall {
  readonly id: number
  readonly task: CodecTask
}
/** What the thread says: first that it runs, then what became of each call. */
export type CodecAnswer =
  'running' | { readonly id: number; readonly result: Uint8Array | Pixels } | { readonly id: number; readonly failure: string }

interface Waiting {
  resolve(result: Uint8Array | Pixels): void
  reject(error: Error): void
}

/** One thread for all pictures of this one, started by the first: a new one's code would be slow each time. It keeps no process alive. */
class CodecThread {
  private readonly worker = new Worker(FILE)
  private readonly waiting = new Map<number, Waiting>()
  private calls = 0
  private isRunning = false
  state: 'usable' | 'ended' | 'not started' = 'usable'

  constructor() {
    this.worker.on('message', (answer: CodecAnswer) => {
      if (answer === 'running') this.isRunning = true
      else this.settle(answer)
    })
    // An answer that there is no memory for.
    this.worker.on('messageerror', () => void this.worker.terminate())
    this.worker.on('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'OUT_OF_MEMORY' : 'INTERNAL'
      this.end(new SadaError(code, `The thread of picture files ended: ${cause.message}.`, { cause }))
    })
    this.worker.on('exit', () => this.end(new SadaError('INTERNAL', 'The thread of picture files ended.')))
  }

  run(task: CodecTask): Promise<Uint8Array | Pixels> {
    return new Promise((resolve, reject) => {
      const call: CodecCall = { id: this.calls++, task }
      this.worker.postMessage(call)
      this.worker.ref()
      this.waiting.set(call.id, { resolve, reject })
    })
  }

  private settle(answer: Exclude<CodecAnswer, 'running'>): void {
    const waiting = this.waiting.get(answer.id)
    // An answer that was under way when the thread ended: its call has failed already.
    if (waiting === undefined) return
    this.waiting.delete(answer.id)
    if (this.waiting.size === 0) this.worker.unref()
    if ('failure' in answer) waiting.reject(new Error(answer.failure))
    else waiting.resolve(answer.result)
  }

  private end(error: SadaError): void {
    if (this.state === 'usable') this.state = this.isRunning ? 'ended' : 'not started'
    for (const waiting of this.waiting.values()) waiting.reject(error)
    this.waiting.clear()
  }
}

let shared: CodecThread | undefined

/**
 * Makes a file of a picture, or a picture of a file, beside the event loop where that is long work. Rejects with an Error as `runCodec` does; with
 * a SadaError, OUT_OF_MEMORY or INTERNAL, where the thread ends. Where none can be started (its file lies in an archive, or a bundler left
 * it behind) the event loop does the work.
 */
export async function codec(task: CodecTask): Promise<Uint8Array | Pixels> {
  if (pixelsIn(task) > MOST_INLINE) return onThread(task)
  return runCodec(task).catch((error: NodeJS.ErrnoException) => {
    // The library of PNG files is an ES module, and test runners that run modules in contexts of their own have no `import()`; a thread has.
    if (error.code?.startsWith('ERR_VM_DYNAMIC_IMPORT')) return onThread(task)
    throw error
  })
}

async function onThread(task: CodecTask): Promise<Uint8Array | Pixels> {
  if (shared?.state === 'not started') return runCodec(task)
  try {
    if (shared?.state !== 'usable') shared = new CodecThread()
    return await shared.run(task)
  } catch (error) {
    // Also where this process cannot have threads, as a window of Electron.
    if (shared?.state === undefined || shared.state === 'not started') return runCodec(task)
    throw error
  }
}
