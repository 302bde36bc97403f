/**
 * The sampler's own cost per step, with a network that returns at once, on SDXL-sized latents, beside the same step in
 * PyTorch (bench/overhead.py, run in turns with ours). Prints the ratios; `--json FILE` records them.
 *
 *   npx tsx bench/overhead.ts [--python PYTHON] [--rounds 15] [--json bench/results/overhead.json]
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { sample } from '../ts/index.ts'

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    rounds: { type: 'string', default: '15' },
    json: { type: 'string' },
  },
})
const betas = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' }
const cases = [
  { name: 'dpm++', scheduler: { _class_name: 'DPMSolverMultistepScheduler', ...betas }, target: 1 / 3 },
  { name: 'euler', scheduler: { _class_name: 'EulerDiscreteScheduler', ...betas }, target: 1 / 2 },
  { name: 'flow-euler', scheduler: { _class_name: 'FlowMatchEulerDiscreteScheduler' }, target: 1 / 2 },
]
const shape = [1, 4, 128, 128]
const STEPS = 50
/** Runs of each side in a round, and rounds before counting: both sides are measured warm. */
const RUNS = 5
const WARM_UP = 8

/** Microseconds per step, over a few runs in which every step computes and evaluates the criterion; like the rival's, without set-up. */
async function ours(scheduler: object, output: Float32Array, latents: Float32Array): Promise<number> {
  // Warm-up to the end: the poster's policy measures the criterion at every step but never skips, so every step costs what a computed
  // one does, and does what the rival's does.
  const policy = { name: 'sada', preset: 'poster', warmup: STEPS }
  let ms = 0
  for (let run = 0; run < RUNS; run++) {
    const { trace } = await sample({ scheduler, steps: STEPS, shape, latents, policy, network: () => output })
    ms += trace.ms
  }
  return (ms / RUNS / STEPS) * 1000
}

const python = spawn(values.python, [join(__dirname, 'overhead.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
const lines = createInterface({ input: python.stdout })[Symbol.asyncIterator]()
const answer = async (): Promise<string> => {
  const { value, done } = await lines.next()
  if (done) throw new Error(`${values.python} ended; it needs torch and diffusers`)
  return value
}
const median = (all: readonly number[], q = 0.5): number => [...all].sort((a, b) => a - b)[Math.floor(q * (all.length - 1))]

async function main(): Promise<void> {
  const torch = await answer()
  const latents = Float32Array.from({ length: 65536 }, (_, k) => Math.sin(k))
  const output = Float32Array.from({ length: 65536 }, (_, k) => Math.cos(3 * k))
  const results = []
  for (const { name, scheduler, target } of cases) {
    const rounds: { ours: number; torch: number }[] = []
    for (let round = -WARM_UP; round < Number(values.rounds); round++) {
      const mine = await ours(scheduler, output, latents)
      python.stdin.write(`${name}\n`)
      const theirs = Number(await answer())
      if (round >= 0) rounds.push({ ours: mine, torch: theirs })
    }
    const ratios = rounds.map((round) => round.ours / round.torch)
    const result = {
      scheduler: name,
      sada_us: median(rounds.map((round) => round.ours)),
      torch_us: median(rounds.map((round) => round.torch)),
      ratio: { p05: median(ratios, 0.05), p50: median(ratios), p95: median(ratios, 0.95) },
      target,
    }
    results.push(result)
    console.log(
      `${name.padEnd(11)} ${result.sada_us.toFixed(0).padStart(5)} µs per step, PyTorch ${result.torch_us.toFixed(0).padStart(5)} µs, ` +
        `ratio ${result.ratio.p50.toFixed(2)} (${result.ratio.p05.toFixed(2)}–${result.ratio.p95.toFixed(2)}), target ≤ ${target.toFixed(2)}`,
    )
  }
  python.stdin.end()
  const report = {
    what: 'sampler step + criterion, 1x4x128x128, network returns at once',
    machine: cpus()[0].model,
    cores: cpus().length,
    node: process.version,
    torch,
    results,
  }
  if (values.json) writeFileSync(values.json, JSON.stringify(report, undefined, 2) + '\n')
}

void main()
