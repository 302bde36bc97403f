import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import path, { join } from 'node:path'
import { createContext, runInContext, runInThisContext } from 'node:vm'
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads'

// What examples/electron uses of Electron, in Node: a utility process is a worker thread, a page a context of its own.

const folder = join(__dirname, '..', '..', 'examples', 'electron')
const code = (file: string): string => readFileSync(join(folder, file), 'utf8')

/** How a sampler fails: it ends as it starts, or so many loads of its model fail. */
export interface Fate {
  readonly ends?: boolean
  readonly failingLoads?: number
}

class UtilityProcess extends EventEmitter {
  private readonly worker: Worker

  constructor(file: string, fate: Fate) {
    super()
    this.worker = new Worker(join(__dirname, 'utility-process.cjs'), { workerData: { file, ...fate } })
    this.worker.on('message', (message) => this.emit('message', message))
    // Of a process this is said on stderr.
    this.worker.on('error', () => {})
    this.worker.on('exit', (exitCode) => this.emit('exit', exitCode))
    // A test that fails leaves it behind.
    this.worker.unref()
  }

  postMessage(data: unknown, ports: MessagePort[]): void {
    this.worker.postMessage({ data, ports }, ports)
  }

  async kill(): Promise<void> {
    this.worker.ref()
    const ended = once(this.worker, 'exit')
    this.worker.postMessage({ data: 'end', ports: [] })
    await ended
  }
}

/** A window and its page, of which `load` is called when it is there; what was sent before is lost. */
export class Page extends EventEmitter {
  private readonly ipc = new EventEmitter()
  readonly webContents = this
  readonly output = { value: '' }
  readonly button = { disabled: true }
  readonly form: { onsubmit?: (event: object) => void } = {}
  /** What the page has drawn, [width, height]. */
  readonly pictures: (readonly [number, number])[] = []
  /** What the page has said, each once. */
  readonly said: string[] = []
  /** The page's end of its channel to the sampler. */
  port: MessagePort | undefined
  loadFile = (): Promise<void> => Promise.resolve()

  send(channel: string, message: unknown): void {
    const arriving = structuredClone(message)
    setImmediate(() => this.ipc.emit(channel, {}, arriving))
  }

  postMessage(channel: string, _: null, ports: MessagePort[]): void {
    setImmediate(() => this.ipc.emit(channel, { ports }))
  }

  load(): void {
    this.ipc.removeAllListeners()
    const listeners: ((event: object) => void)[] = []
    const page = createContext(this.globals(listeners))
    const source: unknown = runInContext('globalThis', page)
    const postMessage = (data: unknown, _: string, ports: MessagePort[] = []): void => {
      for (const listener of listeners) listener({ source, data, ports })
      if (data === 'connect') (this.port = ports[0]).unref()
      this.note()
    }
    runInContext(code('page.js'), page)
    const preload = runInThisContext(`(function (require, window) {${code('preload.js')}})`)
    preload(() => ({ ipcRenderer: this.ipc }), { postMessage })
    this.emit('did-finish-load')
  }

  /** What page.js takes from a browser. */
  private globals(listeners: ((event: object) => void)[]): object {
    const putImageData = ({ width, height }: { width: number; height: number }) => this.pictures.push([width, height])
    const { form, button, output } = this
    const elements: Record<string, object> = { form, button, output, canvas: { getContext: () => ({ putImageData }) } }
    return {
      document: { querySelector: (name: string) => elements[name] },
      addEventListener: (_: string, listener: (event: object) => void) => listeners.push(listener),
      FormData: function () {
        return { get: () => 'a teal robot with round eyes' }
      },
      ImageData: function (data: Uint8ClampedArray, width: number, height: number) {
        return { data, width, height }
      },
    }
  }

  private note(): void {
    if (this.said.at(-1) !== this.output.value) this.said.push(this.output.value)
  }

  draw(): void {
    if (this.button.disabled) throw new Error('The button is disabled')
    this.form.onsubmit!({ preventDefault: () => {} })
  }

  /** Waits until the page says so. */
  async says(text: string | RegExp): Promise<void> {
    const isSaid = (): boolean => (typeof text === 'string' ? this.output.value === text : text.test(this.output.value))
    for (const until = Date.now() + 30_000; !isSaid(); await new Promise((resolve) => setTimeout(resolve, 5)))
      if (Date.now() > until) throw new Error(`The page says "${this.output.value}" instead of "${text}"`)
  }
}

/** examples/electron, started; `fates`: of one sampler after the other. */
export async function startApp(...fates: Fate[]) {
  const app = Object.assign(new EventEmitter(), { whenReady: () => Promise.resolve(), quit: () => {} })
  const samplers: UtilityProcess[] = []
  const pages: Page[] = []
  const log: string[] = []
  /** Milliseconds that the app has waited. */
  const waits: number[] = []
  const electron = {
    app,
    BrowserWindow: Object.assign(
      function () {
        pages.push(new Page())
        return pages.at(-1)
      },
      { getAllWindows: () => pages },
    ),
    MessageChannelMain: MessageChannel,
    utilityProcess: {
      fork: (file: string) => {
        samplers.push(new UtilityProcess(file, fates[samplers.length] ?? {}))
        return samplers.at(-1)
      },
    },
  }
  const main = runInThisContext(`(function (require, __dirname, console, setTimeout) {${code('main.js')}})`)
  const given = (name: string): unknown => (name === 'electron' ? electron : path)
  const soon = (action: () => void, ms: number): unknown => (waits.push(ms), setImmediate(action))
  main(given, folder, { error: (line: string) => log.push(line) }, soon)
  while (pages.length === 0) await new Promise((resolve) => setImmediate(resolve))
  return { page: pages[0], samplers, log, waits, quit: () => app.emit('will-quit') }
}
