/**
 * The cost of real shapes: latents and token counts of SD-2 768, SDXL 1024 and Flux 1024 through networks of the published widths with random
 * weights (bench/shapes/make.py says what is smaller). For each: passes on all and on some of the tokens, in turns; a short run with and one without
 * SADA; what a step takes beside the network. Results of single cases are put beside those of others in the file; a case is a folder on a device with
 * one row in a pass or (`--guidance` other than 1) two.
 *
 *   npx tsx bench/shapes/shapes.ts [sd2 sdxl flux] [--folder DIR] [--python PYTHON] [--rounds 3] [--steps 20, 0: no runs] [--json bench/results/shapes.json]
 *     [--device cpu] [--guidance 1] [--warm-up 0: rounds that do not count] [--combine FILE: puts its cases into --json, and measures nothing]
 *     [--size: of the pictures; 96 × 96 latents are 192]
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine, describeVersions } from '../../ts/bench/machine.ts'
import { median, spread } from '../../ts/bench/statistics.ts'
import { onnxRuntimeOnGpu } from '../../ts/engines/onnxruntime.ts'
import type { Family, Request } from '../../ts/families/family.ts'
import { loadFamily } from '../../ts/families/index.ts'
import { inspectGpus, type DeviceSetting } from '../../ts/native/gpu.ts'
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
    device: { type: 'string', default: 'cpu' },
    guidance: { type: 'string', default: '1' },
    'warm-up': { type: 'string', default: '0' },
    size: { type: 'string' },
    json: { type: 'string' },
    combine: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
/** Rounds in front of those that count: on a GPU the first call of every shape finds and loads kernels. */
const warmUp = Number(values['warm-up'])

/**
 * What is asked of each folder. The small autoencoder halves once, so that a picture has twice the sides of its latents. Flux has learnt what guidance
 * does: always one row in a pass.
 */
const CASES: Record<string, { readonly channels: number; readonly size: number; readonly request?: Partial<Request> }> = {
  sd2: { channels: 4, size: 192 },
  sdxl: { channels: 4, size: 256 },
  flux: { channels: 16, size: 256, request: { guidance: 3.5, maxSequenceLength: 512 } },
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
  readonly rows: number
}

/** Seconds since the start, and what happens. */
const say = (what: string): void => void process.stderr.write(`${(performance.now() / 1000).toFixed(1)} s  ${what}\n`)

async function measure(family: Family, request: Request, policyOf: (tokens: number) => Policy): Promise<Measured> {
  const workspace = new (loadAddon().Workspace)(family.gpu)
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
      say(`${family.name}: step ${step + 1} of ${steps}`)
      from = now()
    }
    const tokens = grid[0] * grid[1]
    const policy = policyOf(tokens)
    const run = await new DenoisingLoop({ solver, network: timed, policy, workspace, latents, signal, onStep }).run()
    if (!run.latents.every(Number.isFinite)) throw new Error(`${family.name}: the latents are not finite`)
    // Whoever reads the state waits for the GPU; the loop itself waits for its sums, which are of every element, at each step.
    return { trace: run.trace, network: inNetwork, beside, tokens, rows: network.guidance === 1 ? 1 : 2 }
  } finally {
    workspace.dispose()
  }
}

/** Passes in turns; the first, which every engine makes slower, does not count, nor do rounds for warming up. */
async function passes(family: Family, request: Request) {
  const first = 1 + SHARES.length * warmUp
  const steps = first + SHARES.length * rounds
  const { trace, tokens, rows, network, beside } = await measure(family, { ...request, steps }, inTurns)
  const all = SHARES.map((share, k) => {
    const turns = Array.from({ length: rounds }, (_, round) => first + round * SHARES.length)
    const each = (kind: keyof Times) => ({
      ms: spread(turns.map((turn) => network[turn + k][kind])),
      of_full: spread(turns.map((turn) => network[turn + k][kind] / network[turn][kind])),
    })
    return { share, kept_tokens: trace.members[0].steps[first + k].keptTokens ?? null, wall: each('wall'), cpu: each('cpu') }
  })
  const sampler = (kind: keyof Times) => {
    const ms = beside.slice(first).map((each) => each[kind])
    return { ms: spread(ms), of_pass: median(ms) / all[0][kind].ms.p50 }
  }
  return { tokens, rows, passes: all, sampler: { wall: sampler('wall'), cpu: sampler('cpu') } }
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

/** A GPU, and what all processes have of its memory. */
async function describeGpu(index: number) {
  const { report } = (await inspectGpus())!
  const { name, totalBytes, freeBytes } = report.gpus.find((each) => each.index === index)!
  const gib = (bytes: number): number => Math.round((bytes / 2 ** 30) * 10) / 10
  return { name, driver: driverOf(index), memory_gib: gib(totalBytes), memory_used_gib: gib(totalBytes - freeBytes) }
}

function driverOf(index: number): string | null {
  const query = ['--query-gpu=driver_version', '--format=csv,noheader', `--id=${index}`]
  const { stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8' })
  return stdout?.trim() || null
}

/** On a GPU the networks run there or nothing is measured. */
async function open(folder: string) {
  const device = values.device as DeviceSetting
  const openDevice = device === 'cpu' ? undefined : onnxRuntimeOnGpu()
  // Every stage would keep the gigabytes that its attention takes.
  const family = await loadFamily(folder, { device, threads: Number(values.threads), memoryArena: false }, openDevice)
  if (device === 'cpu' || family.device !== undefined) return family
  await family.engine.dispose()
  throw new Error(`Nothing here runs networks on ${device}.`)
}

/** Measures a case; `note` is told of it when its passes are measured, and again when its runs are, so that a run which is cut off leaves the passes. */
async function measureCase(name: string, note: (found: Case) => void): Promise<void> {
  const folder = join(values.folder, name)
  if (!existsSync(join(folder, 'shapes.json')))
    execFileSync(values.python, [join(__dirname, 'make.py'), values.folder, name], { stdio: ['ignore', 'inherit', 'inherit'] })
  const about = JSON.parse(readFileSync(join(folder, 'shapes.json'), 'utf8')) as object
  const [before, versions] = [describeMachine(), describeVersions()]
  const from = performance.now()
  const family = await open(folder)
  say(`${name}: loaded`)
  try {
    const load_seconds = (performance.now() - from) / 1000
    const { channels, size: own, request: given } = CASES[name]
    const size = Number(values.size ?? own)
    const { scheduler } = family.defaults
    const request: Request = {
      guidance: Number(values.guidance),
      scheduler,
      seed: 1,
      prompts: ['a photo of the cat'],
      steps: Number(values.steps),
      width: size,
      height: size,
      ...given,
    }
    const { gpu, device } = family
    const describe = async (found: Awaited<ReturnType<typeof passes>>, run: Awaited<ReturnType<typeof runs>>): Promise<Case> => {
      const load = [before.load_average, describeMachine().load_average]
      return {
        name,
        latents: [channels, size / 2, size / 2],
        ...about,
        date: new Date().toISOString().slice(0, 10),
        device: values.device,
        machine: { ...before, load_average: load, ...(gpu && { gpu: await describeGpu(gpu.index) }) },
        versions: {
          ...versions,
          commit: versions.commit ?? process.env.SADA_COMMIT?.slice(0, 12) ?? null,
          ...(device && { onnxruntime: device.engine.version }),
        },
        load_seconds,
        threads: Number(values.threads),
        scheduler,
        guidance: request.guidance,
        rounds,
        ...found,
        run,
      }
    }
    const found = await passes(family, request)
    say(`${name}: passes measured`)
    note(await describe(found, null))
    const run = await runs(family, request)
    say(`${name}: runs measured`)
    note(await describe(found, run))
  } finally {
    await Promise.all([family.engine.dispose(), family.device?.engine.dispose()])
  }
}

/** What tells cases apart; the rest is for the reader of the file. */
interface Case extends Record<string, unknown> {
  readonly name: string
  readonly device: string
  readonly rows: number
}

/** Puts cases into a file of results, in the place of those of the same folder, device and rows. */
function put(path: string, found: readonly Case[]): void {
  const known = existsSync(path) ? casesOf(path) : []
  const keyOf = ({ name, device, rows }: Case): string => `${Object.keys(CASES).indexOf(name)} ${device} ${rows}`
  const cases = new Map([...known, ...found].map((each) => [keyOf(each), each]))
  const sorted = [...cases].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each)
  writeFileSync(path, JSON.stringify({ what: 'random weights at real latents and widths', cases: sorted }, undefined, 1) + '\n')
}

const casesOf = (path: string): Case[] => (JSON.parse(readFileSync(path, 'utf8')) as { cases: Case[] }).cases

async function main(): Promise<void> {
  const { json, combine } = values
  if (combine !== undefined) return put(json ?? combine, casesOf(combine))
  for (const name of positionals.length > 0 ? positionals : Object.keys(CASES)) {
    await measureCase(name, (found) => {
      console.log(JSON.stringify(found, undefined, 1))
      if (json !== undefined) put(json, [found])
    })
  }
}

void main()
