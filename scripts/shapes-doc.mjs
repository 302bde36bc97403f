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
  const rows = all.map(({ share, kept_tokens: kept, ms, of_full: part }) => [
    share === 1 ? 'all' : `${percent(share)}: ${kept}`,
    between(ms, seconds),
    share === 1 ? '' : between(part, percent),
  ])
  return table(['tokens computed', 'a pass, median (5–95 %)', 'of the full pass in the same turn'], rows)
}

function runs({ run }) {
  if (run === null) return 'No run was measured.'
  const { steps, plain_ms: plain, sada_ms: sada, saved, network_runs: ran, sampler_ms: sampler, sampler_of_network: share } = run
  const skips = run.actions.filter((action) => !['run', 'prune', 'partial'].includes(action)).length
  const pruned = run.actions.filter((action) => action === 'prune').length
  return [
    `A run of ${steps} steps: ${seconds(plain)} without acceleration, ${seconds(sada)} with \`sada\` (${percent(saved)} saved): ${ran} network runs, ${pruned} of them pruned, ${skips} steps skipped. One run of each.`,
    `Beside the network a step took ${sampler.plain.p50.toFixed(1)} ms without acceleration and ${sampler.sada.p50.toFixed(1)} ms with \`sada\` (medians), criterion included: ${percent(share.plain.p50, 3)} and ${percent(share.sada.p50, 3)} of a pass (95 %: at most ${percent(Math.max(share.plain.p95, share.sada.p95), 3)}).`,
  ].join('\n')
}

const text = `# Real shapes

Written by \`node scripts/shapes-doc.mjs\` from [bench/results/shapes.json](../bench/results/shapes.json), which \`bench/shapes/shapes.ts\` made: what a pass, a
pruned pass and a step cost at the latents, token counts and widths of the published models. Weights are random, so that nothing here says how good a picture is, and what
\`sada\` skips is what it skips on these networks; how much it skips on trained ones is another matter. The networks are smaller than the published ones where it says so, and no figure has been scaled up from them.

${cases.map((each) => `## ${NAMES[each.name]}\n\n${about(each)}\n\n${passes(each)}\n\n${runs(each)}\n`).join('\n')}
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
