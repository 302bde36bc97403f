/**
 * How close policy `auto` comes to its targets on the bundled model: a speed-up in wall time against the full run made directly before, and a
 * PSNR against that run.
 *
 *   npx tsx bench/targets.ts [--prompts 32] [--speedup 2] [--psnr 32,40] [--guidance 3] [--seed 0] [--json FILE]
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { describeMachine, describeVersions } from '../ts/bench/machine.ts'
import { modelPrompts } from '../ts/bench/prompts.ts'
import { mean, median, spread } from '../ts/bench/statistics.ts'
import { load, type PolicySpec } from '../ts/index.ts'
import { psnr } from '../ts/metrics/psnr.ts'
import { findModel } from '../ts/pipeline/model-folder.ts'
import { loadManifest } from '../ts/plan/model.ts'

const { values } = parseArgs({
  options: {
    prompts: { type: 'string', default: '32' },
    speedup: { type: 'string', default: '2' },
    psnr: { type: 'string', default: '32,40' },
    guidance: { type: 'string', default: '3' },
    seed: { type: 'string', default: '0' },
    json: { type: 'string' },
  },
})
const STEPS = 50
const numbers = (list: string): number[] => list.split(',').map(Number)
/** Decibels of a picture that equals the full run's: as many as float32 can tell. */
const EQUAL_DB = 150

async function main(): Promise<void> {
  const pipeline = await load('avatar')
  const folder = await findModel('avatar')
  const manifest = await loadManifest(folder)
  const prompts = await modelPrompts(folder, Number(values.prompts))
  const machine = describeMachine()
  const rows = []
  const settings = numbers(values.guidance).flatMap((guidance) =>
    Object.keys(manifest.schedulers).map((scheduler) => ({ guidance, scheduler })),
  )
  for (const { guidance, scheduler } of settings) {
    const run = async (k: number, policy: PolicySpec) => {
      const { latents, trace } = await pipeline.generate({
        prompt: prompts[k].prompt,
        seed: Number(values.seed) + k,
        scheduler,
        steps: STEPS,
        guidanceScale: guidance,
        policy,
      })
      return { latents, ms: trace.ms, nfe: trace.members[0].nfe }
    }
    await run(0, 'none') // warm-up
    const reached = new Map<string, { target: number; values: number[]; nfe: number[] }>()
    const note = (label: string, target: number, value: number, nfe: number): void => {
      const row = reached.get(label) ?? { target, values: [], nfe: [] }
      row.values.push(value)
      row.nfe.push(nfe)
      reached.set(label, row)
    }
    for (const k of prompts.keys()) {
      let full = await run(k, 'none')
      for (const psnrDb of numbers(values.psnr)) {
        const { latents, nfe } = await run(k, { name: 'auto', target: { psnrDb } })
        note(`psnrDb=${psnrDb}`, psnrDb, Math.min(EQUAL_DB, psnr(latents, full.latents)), nfe)
      }
      for (const speedup of numbers(values.speedup)) {
        full = await run(k, 'none')
        const { ms, nfe } = await run(k, { name: 'auto', target: { speedup } })
        note(`speedup=${speedup}`, speedup, full.ms / ms, nfe)
      }
    }
    for (const [label, { target, values: all, nfe }] of reached) {
      const row = {
        guidance,
        scheduler,
        target: label,
        mean: mean(all),
        ...spread(all),
        mean_error: mean(all) - target,
        median_absolute_error: median(all.map((value) => Math.abs(value - target))),
        nfe: mean(nfe),
      }
      rows.push(row)
      console.log(JSON.stringify(row))
    }
  }
  const report = { prompts: prompts.length, steps: STEPS, seed: Number(values.seed), machine, versions: describeVersions(), rows }
  await pipeline.dispose()
  if (values.json) writeFileSync(values.json, JSON.stringify(report, undefined, 1) + '\n')
}

void main()
