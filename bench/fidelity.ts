/**
 * Fidelity at equal cost on the bundled model: policies beside plain fewer steps and the best fixed schedule of as many runs.
 * Cost is in full network evaluations: a pruned or partial pass counts its share of the plan's floating-point operations.
 *
 *   npx tsx bench/fidelity.ts [--prompts 16] [--offset 0] [--seed 1000,2000] [--guidance 3] [--steps 50] [--scheduler flow-euler,dpm++,euler]
 *                             [--policy '"sada"' --policy '{"name":"sada","preset":"poster"}'] [--fixed] [--plain 45,48] [--json FILE]
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { load, type Pipeline, type PolicySpec, type Trace } from '../ts/index.ts'
import { findModel } from '../ts/pipeline/model-folder.ts'
import { loadManifest } from '../ts/plan/model.ts'
import { type readManifest } from '../ts/plan/manifest.ts'

const { values } = parseArgs({
  options: {
    prompts: { type: 'string', default: '16' },
    offset: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1000' },
    guidance: { type: 'string', default: '3' },
    steps: { type: 'string', default: '50' },
    scheduler: { type: 'string', default: 'flow-euler,dpm++,euler' },
    policy: { type: 'string', multiple: true, default: ['"sada"'] },
    fixed: { type: 'boolean', default: false },
    plain: { type: 'string', default: '' },
    kind: { type: 'string' },
    json: { type: 'string' },
  },
})
const BATCH = 4
const count = Number(values.prompts)
const offset = Number(values.offset)

interface Setting {
  readonly kind: string
  /** Of the first picture; those after it have the numbers that follow. */
  readonly seed: number
  readonly scheduler: string
  readonly guidance: number
  readonly steps: number
  readonly prompts: readonly string[]
}
interface Outcome {
  readonly label: string
  readonly runs: number
  readonly cost: number
  readonly psnr: readonly number[]
}

/** PSNR of two samples in [−1, 1], peak-to-peak 2, in dB; Infinity where they are equal. */
function psnr(a: Float32Array, b: Float32Array): number {
  const clip = (v: number): number => Math.min(1, Math.max(-1, v))
  const mse = a.reduce((sum, v, k) => sum + (clip(v) - clip(b[k])) ** 2, 0) / a.length
  return 10 * Math.log10(4 / mse)
}

const numbers = (list: string): number[] => list.split(',').filter(Boolean).map(Number)

/** Every setting that is asked for. */
function* settings(all: Readonly<Record<string, readonly string[]>>): Generator<Setting> {
  for (const seed of numbers(values.seed))
    for (const guidance of numbers(values.guidance))
      for (const steps of numbers(values.steps))
        for (const scheduler of values.scheduler.split(','))
          for (const kind of values.kind ? [values.kind] : Object.keys(all))
            yield { seed, guidance, steps, scheduler, kind, prompts: all[kind].slice(offset, offset + count) }
}

async function main(): Promise<void> {
  const pipeline = await load('avatar')
  const folder = await findModel('avatar')
  const manifest = await loadManifest(folder)
  const { full, short } = JSON.parse(readFileSync(join(folder, manifest.prompts ?? 'prompts.json'), 'utf8')) as Record<
    string,
    string[]
  >
  const share = prunedShare(manifest)
  const report = []
  for (const setting of settings({ full, short })) {
    const reference = await samples(pipeline, setting, 'none', setting.steps)
    const judge = async (label: string, policy: PolicySpec, steps = setting.steps): Promise<Outcome> => {
      const { results, traces } = await samples(pipeline, setting, policy, steps)
      const costs = traces.map((trace) => cost(trace, share))
      const runs = traces.flatMap(({ members }) => members.map(({ nfe }) => nfe))
      const outcome = {
        label,
        runs: mean(runs),
        cost: mean(costs.flat()),
        psnr: results.map((x, k) => psnr(x, reference.results[k])),
      }
      print(setting, outcome, runs)
      return outcome
    }
    const outcomes: Outcome[] = []
    for (const policy of values.policy) {
      const own = await judge(policy, JSON.parse(policy) as PolicySpec)
      const n = Math.ceil(own.cost - 0.25)
      outcomes.push(own, await judge(`plain ${n}`, 'none', n))
      if (values.fixed)
        for (const rival of fixedSchedules(n, setting.steps))
          outcomes.push(await judge(`${rival.name} ${rival.n} w${rival.warmup} o${rival.order}`, rival))
    }
    for (const n of numbers(values.plain)) outcomes.push(await judge(`plain ${n}`, 'none', n))
    const { guidance, steps, scheduler, kind, seed } = setting
    report.push({ guidance, steps, scheduler, prompts: kind, seed, outcomes })
  }
  await pipeline.dispose()
  const about = {
    what: 'PSNR in dB against the run of every step from the same seed',
    offset,
    machine: cpus()[0].model,
    node: process.version,
  }
  if (values.json) writeFileSync(values.json, JSON.stringify({ ...about, cases: report }, undefined, 1) + '\n')
}

async function samples(pipeline: Pipeline, setting: Setting, policy: PolicySpec, steps: number) {
  const { scheduler, guidance, prompts } = setting
  const results: Float32Array[] = []
  const traces: Trace[] = []
  for (let from = 0; from < prompts.length; from += BATCH) {
    const prompt = prompts.slice(from, from + BATCH)
    const seed = prompt.map((_, k) => setting.seed + offset + from + k)
    const { latents, trace } = await pipeline.generate({ prompt, seed, scheduler, guidanceScale: guidance, policy, steps })
    const length = latents.length / prompt.length
    prompt.forEach((_, k) => results.push(latents.slice(k * length, (k + 1) * length)))
    traces.push(trace)
  }
  return { results, traces }
}

/** Share of a full pass's operations that a pass with `kept` tokens takes. */
function prunedShare({ stages, tokens }: ReturnType<typeof readManifest>): (kept: number) => number {
  const all = tokens.grid[0] * tokens.grid[1]
  const flops = (kept: number): number =>
    stages.reduce((sum, { kind, flops: f }) => {
      const n = kind === 'tokens' ? kept : all
      return sum + f.fixed + f.per_token * n + f.per_token_pair * n * n
    }, 0)
  return (kept) => flops(kept) / flops(all)
}

const cost = ({ members }: Trace, share: (kept: number) => number): number[] =>
  members.map(({ steps }) =>
    steps.reduce((sum, { action, keptTokens, flopShare }) => {
      if (action === 'prune') return sum + share(keptTokens!)
      return sum + (action === 'run' ? 1 : action === 'partial' ? flopShare! : 0)
    }, 0),
  )

/** Every-n schedules that take at most `runs` network runs, each with the longest warm-up that allows. */
function fixedSchedules(runs: number, steps: number): { name: string; n: number; warmup: number; order: number; tail: number }[] {
  const tail = 2
  const taken = (n: number, warmup: number): number => warmup + Math.ceil((steps - tail - warmup) / n) + tail
  return [2, 3, 4].flatMap((n) => {
    let warmup = 1
    while (warmup < steps && taken(n, warmup + 1) <= runs) warmup++
    return taken(n, warmup) > runs ? [] : [{ name: 'every-n', n, warmup, order: 1, tail }]
  })
}

const mean = (all: readonly number[]): number => all.reduce((sum, v) => sum + v, 0) / all.length

function print(
  { scheduler, guidance, steps, kind }: Setting,
  { label, cost, psnr: all }: Outcome,
  runs: readonly number[],
): void {
  const sorted = all.map((v) => Math.min(v, 150)).sort((a, b) => a - b)
  const decile = mean(sorted.slice(0, Math.ceil(sorted.length / 10)))
  console.log(
    [
      scheduler.padEnd(10),
      `g${guidance}`,
      `${steps} steps`,
      kind.padEnd(5),
      label.padEnd(34),
      `runs ${mean(runs).toFixed(1)} (${Math.min(...runs)}–${Math.max(...runs)})`,
      `cost ${cost.toFixed(1)}`,
      `PSNR ${mean(sorted).toFixed(1)} / ${decile.toFixed(1)} / ${sorted[0].toFixed(1)}`,
    ].join('  '),
  )
}

void main()
