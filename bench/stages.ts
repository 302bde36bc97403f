/**
 * What each stage of the bundled model costs on a guided pair, and the token stages with fewer tokens: a pruned pass.
 *
 *   npx tsx bench/stages.ts [--json bench/results/stages.json]
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { loadAddon } from '../ts/native/load.ts'
import type { EngineOp } from '../ts/native/types.ts'
import { findModel } from '../ts/pipeline/model-folder.ts'
import { loadModel } from '../ts/plan/model.ts'
import { RowTensors } from '../ts/plan/row-tensors.ts'

const { values } = parseArgs({ options: { json: { type: 'string' }, threads: { type: 'string', default: '0' } } })
const ROWS = 2
const ROUNDS = 60

const quantile = (all: readonly number[], q: number): number => [...all].sort((a, b) => a - b)[Math.floor(q * (all.length - 1))]

async function main(): Promise<void> {
  const { manifest, engine, sessions } = await loadModel(await findModel('avatar'), { threads: Number(values.threads) })
  const all = manifest.tokens.grid[0] * manifest.tokens.grid[1]
  const workspace = new (loadAddon().Workspace)()
  const tensors = new RowTensors(workspace, manifest.tensors, ROWS, all)
  const op = ({ name, inputs, outputs }: (typeof manifest.stages)[number], tokens: number): EngineOp => ({
    kind: 'stage',
    session: sessions.get(name)!,
    inputs: inputs.map((input) => tensors.bind('call', input, ROWS, tokens)),
    outputs: outputs.map((output) => tensors.bind('call', output, ROWS, tokens)),
  })
  const dense = manifest.stages
    .filter(({ kind }) => kind === 'dense')
    .map((stage) => ({ label: stage.name, ops: [op(stage, all)] }))
  const blocks = manifest.stages.filter(({ kind }) => kind === 'tokens')
  const kept = [all, (all * 3) / 4, all / 2, all / 4]
  const cases = [
    ...dense,
    ...kept.map((tokens) => ({ label: `blocks, ${tokens} tokens`, ops: blocks.map((stage) => op(stage, tokens)) })),
  ]
  const times = cases.map((): number[] => [])
  // In turns, so that a change of the machine's speed meets all alike.
  for (let round = -5; round < ROUNDS; round++) {
    for (const [k, { ops }] of cases.entries()) {
      const ms = await engine.run(workspace, ops).done
      if (round >= 0) times[k].push(ms.reduce((sum, each) => sum + each, 0))
    }
  }
  const full = cases.findIndex(({ label }) => label.startsWith(`blocks, ${all}`))
  const results = cases.map(({ label }, k) => {
    const ratios = times[k].map((ms, round) => ms / times[full][round])
    return {
      stage: label,
      ms: { p05: quantile(times[k], 0.05), p50: quantile(times[k], 0.5), p95: quantile(times[k], 0.95) },
      of_full_blocks: quantile(ratios, 0.5),
    }
  })
  for (const { stage, ms, of_full_blocks: share } of results) {
    console.log(
      `${stage.padEnd(18)} ${ms.p50.toFixed(2).padStart(6)} ms (${ms.p05.toFixed(2)}–${ms.p95.toFixed(2)})${stage.startsWith('blocks') ? `  ${share.toFixed(2)} of all tokens` : ''}`,
    )
  }
  const about = {
    what: 'one guided pair, milliseconds',
    machine: cpus()[0].model,
    cores: cpus().length,
    threads: Number(values.threads),
    node: process.version,
  }
  if (values.json) writeFileSync(values.json, JSON.stringify({ ...about, results }, undefined, 1) + '\n')
  workspace.dispose()
  await engine.dispose()
}

void main()
