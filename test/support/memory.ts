import { addon, bound, fixture, newEngine } from './engines.ts'

// Run with --expose-gc by memory.test.ts. Prints what is alive after objects were dropped, and the growth over many runs.
const collect = globalThis.gc!

async function collected(): Promise<void> {
  collect()
  await new Promise((resolve) => setImmediate(resolve))
}

async function settled(): Promise<void> {
  for (let k = 0; k < 10; k++) await collected()
}

/** Engines and workspaces that nobody disposes, some of them with work under way. */
async function drop(count: number): Promise<number> {
  let ran = 0
  for (let k = 0; k < count; k++) {
    const engine = newEngine()
    const workspace = new addon.Workspace()
    const [x, y] = ['x', 'y'].map((name) => bound(workspace, name, new Float32Array(4096)))
    const run = engine.load({ path: fixture('half'), threads: 1 }).then(({ session }) => {
      return engine.run(workspace, [{ kind: 'stage', session, inputs: [x], outputs: [y] }]).done
    })
    const counted = run.then(() => ran++)
    if (k % 8 === 7) await counted
    if (k % 4 === 0) await collected()
  }
  while (addon.counters().jobs > 0) await settled()
  await settled()
  return ran
}

/** Steps and runs over one workspace and engine: the growth of the resident set between the halves. */
async function cycle(count: number): Promise<number> {
  const engine = newEngine()
  const { session } = await engine.load({ path: fixture('add_matmul'), threads: 1 })
  const workspace = new addon.Workspace()
  const length = 3 * 4096
  const [a, b, sum] = ['a', 'b', 'sum'].map((name) => bound(workspace, name, new Float32Array(length), [4096, 3]))
  const rows = [{ inputs: [0, 1], weights: [0.5, 0.5], store: a }]
  let middle = 0
  for (let k = 0; k < count; k++) {
    void workspace.step(length, [{ inputs: [a, sum], rows, sums: [{ a: 0 }] }])
    const job = engine.run(workspace, [{ kind: 'stage', session, inputs: [a, b], outputs: [sum] }])
    if (k % 10 === 0) job.abort()
    await job.done.catch(() => undefined)
    const short = new addon.Workspace()
    short.allocate(1 << 18)
    short.dispose()
    if (k === count >> 1) {
      await settled()
      middle = process.memoryUsage.rss()
    }
  }
  await settled()
  const growth = process.memoryUsage.rss() - middle
  workspace.dispose()
  await engine.dispose()
  return growth
}

async function main(): Promise<void> {
  const before = addon.counters()
  const ran = await drop(200)
  const after = addon.counters()
  const growth = await cycle(1000)
  await settled()
  console.log(JSON.stringify({ before, ran, after, growth, end: addon.counters() }))
}

void main()
