/**
 * What leaving out one single step of a full run does to the picture: PSNR in dB by the step that was left out, its clean sample being the one before.
 * The recording of a full run is replayed with one decision changed.
 *
 *   npx tsx bench/single-skip.ts [--scheduler dpm++] [--pictures 0,21,29,49] [--seed 1000] [--json FILE]
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine, describeVersions } from '../ts/bench/machine.ts'
import { load, type Recording } from '../ts/index.ts'
import { psnr } from '../ts/metrics/psnr.ts'
import { findModel } from '../ts/pipeline/model-folder.ts'
import { x0At } from '../ts/policy/history.ts'

const { values } = parseArgs({
  options: {
    scheduler: { type: 'string', default: 'dpm++' },
    pictures: { type: 'string', default: '0,21,29,49' },
    seed: { type: 'string', default: '1000' },
    json: { type: 'string' },
  },
})
const STEPS = 50
/** The first has nothing before it; what the last ones give is the picture. */
const [FROM, TO] = [4, STEPS - 3]

async function main(): Promise<void> {
  const pipeline = await load('avatar')
  const prompts = JSON.parse(readFileSync(join(await findModel('avatar'), 'prompts.json'), 'utf8')) as { short: string[] }
  const rows = []
  for (const k of values.pictures.split(',').map(Number)) {
    const call = { prompt: prompts.short[k], seed: Number(values.seed) + k, scheduler: values.scheduler, steps: STEPS }
    const full = await pipeline.generate({ ...call, policy: { name: 'every-n', n: 1, order: 0 }, record: true })
    const psnrDb: Record<number, number> = {}
    for (let step = FROM; step < TO; step++) {
      const recording = without(step, full.recording!)
      const { latents } = await pipeline.generate({ ...call, policy: { name: 'replay', recording } })
      psnrDb[step] = Math.round(psnr(latents, full.latents) * 10) / 10
    }
    rows.push({ prompt: call.prompt, seed: call.seed, psnr_db_by_step: psnrDb })
    console.log(JSON.stringify(rows.at(-1)))
  }
  const report = { scheduler: values.scheduler, steps: STEPS, machine: describeMachine(), versions: describeVersions(), rows }
  await pipeline.dispose()
  if (values.json) writeFileSync(values.json, JSON.stringify(report, undefined, 1) + '\n')
}

function without(step: number, recording: Recording): Recording {
  const x0 = { [x0At(step - 1)]: 1 }
  const skip = { kind: 'skip', action: 'reuse', x0 } as const
  const [steps] = recording.members
  return { ...recording, members: [steps.map((each, k) => (k === step ? { ...each, done: skip } : each))] }
}

void main()
