/**
 * The cost of real shapes: latents and token counts of SD-2 768, SDXL 1024 and Flux 1024 through networks of the published widths with random
 * weights (bench/shapes/make.py says what is smaller). For each: passes on all and on some of the tokens, in turns; a short run with and one without
 * SADA; what a step takes beside the network. Results of single cases are put beside those of others in the file.
 *
 *   npx tsx bench/shapes/shapes.ts [sd2 sdxl flux] [--folder DIR] [--python PYTHON] [--rounds 3] [--steps 20, 0: no runs] [--json bench/results/shapes.json]
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine, describeVersions } from '../../ts/bench/machine.ts'
import { median, spread } from '../../ts/bench/statistics.ts'
import type { Family, Request } from '../../ts/families/family.ts'
import { loadFamily } from '../../ts/families/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { createPolicy } from '../../ts/policy/index.ts'
import { run as whole, type MemberPolicy, type Policy } from '../../ts/policy/policy.ts'
import { DenoisingLoop } from '../../ts/sampler/loop.ts'
import type { Network } from '../../ts/sampler/network.ts'
import type { Trace } from '../../ts/sampler/trace.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string', default: join(tmpdir(), 'sada-shapes') },
    python: { type: 'string', default: 'python3' },
    rounds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '20' },
    threads: { type: 'string', default: '0' },
    json: { type: 'string' },
  },
})

/** What is asked of each folder. The small autoencoder halves once, so that a picture has twice the sides of its latents. */
const CASES: Record<string, { readonly latents: readonly number[]; readonly request: Partial<Request> }> = {
  sd2: { latents: [4, 96, 96], request: { width: 192, height: 192 } },
  sdxl: { latents: [4, 128, 128], request: { width: 256, height: 256 } },
  flux: { latents: [16, 128, 128], request: { width: 256, height: 256, guidance: 3.5, maxSequenceLength: 512 } },
}
const SHARES = [1, 0.75, 0.5, 0.25]

/** A pass on all tokens, then passes in turns on each of the shares. */
function inTurns(tokens: number): Policy {
  const member: MemberPolicy = {
    capacity: 0,
    before: (step) => {
      const share = step === 0 ? 1 : SHARES[(step - 1) % SHARES.length]
      const selection = { maxKept: Math.round(share * tokens), window: [0, 0], seed: 0, fullAbove: 0.9 } as const
      return share === 1 ? whole : { kind: 'prune', selection }
    },
    // As much as SADA's criterion costs.
    observe: () => ({ means: [{ a: { x: 1, x0: -1 }, b: { x0: 1, y: -1 } }] }),
    after: () => ({}),
    keeps: () => [],
  }
  return { name: 'in turns', begin: () => ({ options: {}, members: [member] }) }
}

interface Times {
  readonly wall: number
  readonly cpu: number
}

const now = (): Times => {
  const { user, system } = process.cpuUsage()
  return { wall: performance.now(), cpu: (user + system) / 1000 }
}
const since = (from: Times, less: Times = { wall: 0, cpu: 0 }): Times => {
  const { wall, cpu } = now()
  return { wall: wall - from.wall - less.wall, cpu: cpu - from.cpu - less.cpu }
}

interface Measured {
  readonly trace: Trace
  /** Of each step, in milliseconds: wall and processor time of the network, and of what is beside it. Processor time is what a busy machine changes least. */
  readonly network: readonly Times[]
  readonly beside: readonly Times[]
  readonly tokens: number
}

async function measure(family: Family, request: Request, policyOf: (tokens: number) => Policy): Promise<Measured> {
  const workspace = new (loadAddon().Workspace)()
  const { signal } = new AbortController()
  try {
    const { solver, network, latents } = await family.begin(request, workspace, signal)
    const [inNetwork, beside]: [Times[], Times[]] = [[], []]
    const timed = Object.create(network, {
      evaluate: {
        value: async (call: Parameters<Network['evaluate']>[0]) => {
          const from = now()
          const outputs = await network.evaluate(call)
          inNetwork[call.step] = since(from)
          return outputs
        },
      },
    }) as Network
    const { grid } = network.tokens!.layout
    let from = now()
    const onStep = ({ step, steps }: { step: number; steps: number }): void => {
      beside[step] = since(from, inNetwork[step])
      process.stderr.write(`${family.name}: step ${step + 1} of ${steps}\n`)
      from = now()
    }
    const tokens = grid[0] * grid[1]
    const policy = policyOf(tokens)
    const { trace } = await new DenoisingLoop({ solver, network: timed, policy, workspace, latents, signal, onStep }).run()
    return { trace, network: inNetwork, beside, tokens }
  } finally {
    workspace.dispose()
  }
}

/** Passes in turns; the first, which every engine makes slower, does not count. */
async function passes(family: Family, request: Request) {
  const steps = 1 + SHARES.length * Number(values.rounds)
  const { trace, tokens, network, beside } = await measure(family, { ...request, steps }, inTurns)
  const all = SHARES.map((share, k) => {
    const turns = Array.from({ length: Number(values.rounds) }, (_, round) => 1 + round * SHARES.length)
    const each = (kind: keyof Times) => ({
      ms: spread(turns.map((first) => network[first + k][kind])),
      of_full: spread(turns.map((first) => network[first + k][kind] / network[first][kind])),
    })
    return { share, kept_tokens: trace.members[0].steps[1 + k].keptTokens ?? null, wall: each('wall'), cpu: each('cpu') }
  })
  const sampler = (kind: keyof Times) => {
    const ms = beside.slice(1).map((each) => each[kind])
    return { ms: spread(ms), of_pass: median(ms) / all[0][kind].ms.p50 }
  }
  return { tokens, passes: all, sampler: { wall: sampler('wall'), cpu: sampler('cpu') } }
}

/** A run without acceleration and one with, and what their steps take beside the network; none where no steps are asked for. */
async function runs(family: Family, request: Request) {
  if (request.steps === 0) return null
  const plain = await measure(family, request, () => createPolicy('none'))
  const sada = await measure(family, request, () => createPolicy('sada'))
  const total = ({ network, beside }: Measured, kind: keyof Times): number =>
    [...Object.values(network), ...beside].reduce((sum, each) => sum + each[kind], 0)
  const times = (kind: keyof Times) => {
    const passes = plain.network.map((each) => each[kind])
    return {
      plain_ms: total(plain, kind),
      sada_ms: total(sada, kind),
      pass_ms: spread(passes),
    }
  }
  const { steps, nfe } = sada.trace.members[0]
  const actions = steps.map(({ action }) => action)
  return { steps: request.steps, network_runs: nfe, actions, wall: times('wall'), cpu: times('cpu') }
}

async function measureCase(name: string) {
  const folder = join(values.folder, name)
  if (!existsSync(join(folder, 'shapes.json')))
    execFileSync(values.python, [join(__dirname, 'make.py'), values.folder, name], { stdio: ['ignore', 'inherit', 'inherit'] })
  const about = JSON.parse(readFileSync(join(folder, 'shapes.json'), 'utf8')) as object
  const [before, versions] = [describeMachine(), describeVersions()]
  // Every stage would keep the gigabytes that its attention takes.
  const family = await loadFamily(folder, { threads: Number(values.threads), memoryArena: false })
  try {
    const { latents, request: given } = CASES[name]
    const { scheduler } = family.defaults
    const request: Request = {
      guidance: 1,
      scheduler,
      seed: 1,
      prompts: ['a photo of the cat'],
      steps: Number(values.steps),
      ...given,
    }
    const pruned = await passes(family, request)
    const run = await runs(family, request)
    const load = [before.load_average, describeMachine().load_average]
    const measured = {
      date: new Date().toISOString().slice(0, 10),
      machine: { ...before, load_average: load },
      versions,
    }
    return {
      name,
      latents,
      ...about,
      ...measured,
      threads: Number(values.threads),
      scheduler,
      rounds: Number(values.rounds),
      ...pruned,
      run,
    }
  } finally {
    await family.engine.dispose()
  }
}

async function main(): Promise<void> {
  const path = values.json
  for (const name of positionals.length > 0 ? positionals : Object.keys(CASES)) {
    const result = await measureCase(name)
    console.log(JSON.stringify(result, undefined, 1))
    if (path === undefined) continue
    const known = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { cases: { name: string }[] }).cases : []
    const order = Object.keys(CASES)
    const cases = [...known.filter((each) => each.name !== name), result].sort(
      (a, b) => order.indexOf(a.name) - order.indexOf(b.name),
    )
    writeFileSync(
      path,
      JSON.stringify({ what: 'random weights at real latents and widths, one row per pass', cases }, undefined, 1) + '\n',
    )
  }
}

void main()
