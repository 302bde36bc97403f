// Writes docs/shapes.md from bench/results/shapes.json: `node scripts/shapes-doc.mjs [--check]`. No figure there is typed by hand.
//
// bench/results/shapes.json      npx tsx bench/shapes/shapes.ts --json bench/results/shapes.json
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const { cases } = JSON.parse(readFileSync(`${root}bench/results/shapes.json`, 'utf8'))

const NAMES = { sd2: 'Stable Diffusion 2, 768', sdxl: 'Stable Diffusion XL, 1024', flux: 'Flux, 1024' }
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`
const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`
const between = ({ p05, p50, p95 }, show) => `${show(p50)} (${show(p05)}–${show(p95)})`
const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
const shown = (value) => (Array.isArray(value) ? `(${value.join(', ')})` : String(value))

function about({ latents, parameters, cuts, machine, versions, date, threads, scheduler, rounds, tokens }) {
  const list = Object.entries(cuts).map(([key, { published, here }]) => `\`${key}\` ${shown(published)} → ${shown(here)}`)
  const [before, after] = machine.load_average
  return [
    `Latents ${latents.join('×')}, ${tokens} tokens at the highest resolution with attention, one picture, one row per pass. The network has the published configuration but for ${list.join(', ')}: ${(parameters / 1e9).toFixed(2)} billion random weights in float32.`,
    `${machine.cpu}, ${machine.cores} cores (${threads === 0 ? 'a thread on each' : `${threads} threads`}), ONNX Runtime ${versions.onnxruntime} without memory arenas, ${scheduler}, commit ${versions.commit}, ${date}; ${rounds} passes of each kind in turns. Load of the machine before and after: ${before} and ${after}.`,
  ].join('\n')
}

function passes({ passes: all }) {
  const rows = all.map(({ share, kept_tokens: kept, wall, cpu }) => [
    share === 1 ? 'all' : `${percent(share)}: ${kept}`,
    between(cpu.ms, seconds),
    share === 1 ? '' : between(cpu.of_full, percent),
    between(wall.ms, seconds),
  ])
  return table(
    ['tokens computed', 'a pass, processor time: median (5–95 %)', 'of the full pass in the same turn', 'wall time'],
    rows,
  )
}

function sampler({ sampler: { cpu, wall } }) {
  const per = ({ ms, of_pass: share }) =>
    `${ms.p50.toFixed(1)} ms (${ms.p05.toFixed(1)}–${ms.p95.toFixed(1)}), ${percent(share, 3)} of a full pass`
  return `Beside the network a step takes, criterion included: ${per(cpu)}, in processor time; ${per(wall)}, in wall time.`
}

function runs({ run }) {
  if (run === null) return 'No run was measured.'
  const { steps, network_runs: ran, actions, wall, cpu } = run
  const skips = actions.filter((action) => !['run', 'prune', 'partial'].includes(action)).length
  const pruned = actions.filter((action) => action === 'prune').length
  const saved = ({ plain_ms: plain, sada_ms: sada }) => percent(1 - sada / plain)
  return [
    `A run of ${steps} steps took ${seconds(cpu.plain_ms)} of processor time without acceleration and ${seconds(cpu.sada_ms)} with \`sada\`, ${saved(cpu)} less (wall: ${saved(wall)}): ${ran} network runs, ${pruned} of them pruned, ${skips} steps skipped. One run of each.`,
  ].join('\n')
}

const text = `# Real shapes

Written by \`node scripts/shapes-doc.mjs\` from [bench/results/shapes.json](../bench/results/shapes.json), which \`bench/shapes/shapes.ts\` made: what a pass, a
pruned pass and a step cost at the latents, token counts and widths of the published models. Weights are random, so that nothing here says how good a picture is, and what
\`sada\` skips is what it skips on these networks; how much it skips on trained ones is another matter. The networks are smaller than the published ones where it says so, and no figure has been scaled up from them.

${cases.map((each) => `## ${NAMES[each.name]}\n\n${about(each)}\n\n${passes(each)}\n\n${sampler(each)}\n\n${runs(each)}\n`).join('\n')}
## To make it again

\`\`\`sh
python3 -m venv venv && venv/bin/pip install -r models/export/requirements.txt
npx tsx bench/shapes/shapes.ts sd2 sdxl flux --python venv/bin/python --json bench/results/shapes.json   # about 12 GB of memory, 12 GB in the temporary folder
node scripts/shapes-doc.mjs
\`\`\`
`
const path = `${root}docs/shapes.md`
if (!process.argv.includes('--check')) writeFileSync(path, text)
else if (readFileSync(path, 'utf8') !== text) {
  console.error('docs/shapes.md does not show the recorded results: run node scripts/shapes-doc.mjs')
  process.exitCode = 1
}
