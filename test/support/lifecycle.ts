import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { addon, bound, fixture, newEngine, slowRun } from './engines.ts'

// One way for a process to end, named by its first argument or a worker's data: run by test/native/lifecycle.test.ts.
const ENDLESS = 100_000_000
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A slow run on an engine and large steps on the addon's thread, both under way when this returns. */
async function startWork(): Promise<void> {
  const workspace = new addon.Workspace()
  const run = (await slowRun(newEngine(), workspace, ENDLESS))()
  run.done.catch(() => undefined)
  startSteps()
  await sleep(30)
}

function startSteps(): void {
  const workspace = new addon.Workspace()
  const length = 1 << 22
  const slice = { tensor: workspace.allocate(length), offset: 0 }
  const row = { inputs: [0, 1, 2], weights: [1, 2, 3], store: slice }
  for (let k = 0; k < 20; k++) void workspace.step(length, [{ inputs: [slice, slice, slice], rows: [row], sums: [{ a: 0 }] }])
}

function worker(scenario: string): Worker {
  return new Worker(__filename, { workerData: scenario, execArgv: process.execArgv })
}

const started = (each: Worker): Promise<void> => new Promise((resolve) => each.once('message', () => resolve()))
const ended = (each: Worker): Promise<string> => {
  return new Promise((resolve) => {
    let failure = ''
    each.once('error', (error) => (failure = error.message))
    each.once('exit', (code) => resolve(failure || String(code)))
  })
}

/** Loads a model and runs it, as a check that the addon works here. */
async function check(): Promise<void> {
  const engine = newEngine()
  const workspace = new addon.Workspace()
  const { session } = await engine.load({ path: fixture('add_matmul'), threads: 1 })
  const [a, b, sum] = ['a', 'b', 'sum'].map((name) => bound(workspace, name, [1, 2, 3], [1, 3]))
  for (let k = 0; k < 20; k++) await engine.run(workspace, [{ kind: 'stage', session, inputs: [a, b], outputs: [sum] }]).done
  const values = new Float32Array(3)
  workspace.read(sum.tensor, 0, values)
  if (values.join() !== '2,4,6') throw new Error(`wrong sum ${values.join()}`)
  await engine.dispose()
}

const scenarios: Record<string, () => Promise<unknown> | void> = {
  exit: async () => (await startWork(), process.exit(7)),
  throw: async () => {
    await startWork()
    setImmediate(() => {
      throw new Error('on purpose')
    })
  },
  rejection: async () => (await startWork(), void Promise.reject(new Error('on purpose'))),
  sigterm: async () => {
    await startWork()
    console.log('started')
  },
  steps: async () => (startSteps(), await sleep(2), process.exit(7)),
  // Not awaited and not disposed: the process ends by itself once the runs have.
  idle: async () => {
    const engine = newEngine()
    await engine.load({ path: fixture('half') })
    Object.assign(globalThis, { engine })
  },
  'exit while loading': async () => {
    const engine = newEngine()
    for (let k = 0; k < 50; k++) engine.load({ path: fixture('slow') }).catch(() => undefined)
    await sleep(1)
    process.exit(7)
  },
  'exit while disposing': async () => {
    const engine = newEngine()
    const workspace = new addon.Workspace()
    const run = await slowRun(engine, workspace, ENDLESS)
    for (let k = 0; k < 10; k++) run().done.catch(() => undefined)
    void engine.dispose()
    process.exit(7)
  },
  'eight workers and main': async () => {
    const workers = Array.from({ length: 8 }, () => worker('check'))
    const ends = workers.map(ended)
    await check()
    console.log((await Promise.all(ends)).join())
  },
  check: () => check(),
  terminate: async () => {
    for (let k = 0; k < 20; k++) {
      const each = worker('work until terminated')
      const end = ended(each)
      await started(each)
      await sleep(k % 5)
      await each.terminate()
      await end
    }
    await check()
  },
  'terminate at any moment': async () => {
    for (let k = 0; k < 20; k++) {
      const each = worker('busy')
      const end = ended(each)
      await new Promise((resolve) => each.once('online', resolve))
      await sleep(15 * k)
      await each.terminate()
      await end
    }
    await check()
  },
  'worker exits': async () => console.log(await ended(worker('exit'))),
  'worker throws': async () => console.log(await ended(worker('throw'))),
  'worker disposes and ends': async () => console.log(await ended(worker('exit while disposing'))),
  'main exits with workers at work': async () => {
    const workers = [worker('work until terminated'), worker('work until terminated')]
    await Promise.all(workers.map(started))
    process.exit(7)
  },
  'work until terminated': async () => {
    await startWork()
    parentPort!.postMessage('started')
    await sleep(1e8)
  },
  busy: async () => {
    for (;;) await check()
  },
}

const scenario = isMainThread ? process.argv[2] : workerData
void scenarios[scenario as string]()
