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

function about(each) {
  const { latents, parameters, dtype, cuts, machine, versions, date, threads, scheduler, guidance, rounds, tokens, rows } = each
  const list = Object.entries(cuts).map(([key, { published, here }]) => `\`${key}\` ${shown(published)} → ${shown(here)}`)
  const network =
    list.length > 0 ? `the published configuration but for ${list.join(', ')}` : 'the published configuration, uncut'
  const [before, after] = machine.load_average
  const { gpu } = machine
  const where = gpu
    ? `${gpu.name} (driver ${gpu.driver ?? 'unknown'}, ${gpu.memory_gib} GiB, ${gpu.memory_used_gib} of them in use at the end), CUDA provider of ONNX Runtime ${versions.onnxruntime}; host ${machine.cpu}, ${machine.cores} cores; loading took ${each.load_seconds.toFixed(0)} s`
    : `${machine.cpu}, ${machine.cores} cores (${threads === 0 ? 'a thread on each' : `${threads} threads`}), ONNX Runtime ${versions.onnxruntime} without memory arenas`
  return [
    `Latents ${latents.join('×')}, ${tokens} tokens at the highest resolution with attention, one picture, ${rows === 1 ? 'one row' : `two rows (guidance ${guidance})`} per pass. The network has ${network}: ${(parameters / 1e9).toFixed(2)} billion random weights in ${dtype}.`,
    `${where}, ${scheduler}, commit ${versions.commit}, ${date}; ${rounds} passes of each kind in turns. Load of the machine before and after: ${before} and ${after}.`,
  ].join('\n')
}

/** Processor time is what a busy machine changes least; beside a GPU it says nothing. */
const kindsOf = ({ machine }) => (machine.gpu ? ['wall'] : ['cpu', 'wall'])
const KINDS = { cpu: 'processor time', wall: 'wall time' }

function passes(each) {
  const [kind, ...others] = kindsOf(each)
  const show = machineShows(each)
  const rows = each.passes.map(({ share, kept_tokens: kept, ...times }) => [
    share === 1 ? 'all' : `${percent(share)}: ${kept}`,
    between(times[kind].ms, show),
    share === 1 ? '' : between(times[kind].of_full, percent),
    ...others.map((other) => between(times[other].ms, show)),
  ])
  const head = [`tokens computed`, `a pass, ${KINDS[kind]}: median (5–95 %)`, 'of the full pass in the same turn']
  return table([...head, ...others.map((other) => KINDS[other])], rows)
}

const machineShows = ({ machine }) => (machine.gpu ? (ms) => `${ms.toFixed(1)} ms` : seconds)

function sampler(each) {
  const per = ({ ms, of_pass: share }) =>
    `${ms.p50.toFixed(1)} ms (${ms.p05.toFixed(1)}–${ms.p95.toFixed(1)}), ${percent(share, 3)} of a full pass`
  const all = kindsOf(each).map((kind) => `${per(each.sampler[kind])}, in ${KINDS[kind]}`)
  return `Beside the network a step takes, criterion included: ${all.join('; ')}.`
}

function runs(each) {
  if (each.run === null) return 'No run was measured.'
  const { steps, network_runs: ran, actions } = each.run
  const [kind] = kindsOf(each)
  const skips = actions.filter((action) => !['run', 'prune', 'partial'].includes(action)).length
  const pruned = actions.filter((action) => action === 'prune').length
  const { plain_ms: plain, sada_ms: sada } = each.run[kind]
  return `A run of ${steps} steps took ${seconds(plain)} of ${KINDS[kind]} without acceleration and ${seconds(sada)} with \`sada\`: ${ran} network runs, ${pruned} of them pruned, ${skips} steps skipped. One run of each.`
}

const section = (each) => [about(each), passes(each), sampler(each), runs(each)].join('\n\n')
const sections = Object.entries(NAMES).flatMap(([name, title]) =>
  [false, true].flatMap((onGpu) => {
    const own = cases.filter((each) => each.name === name && (each.device !== 'cpu') === onGpu)
    const heading = (rows) => `## ${title}, ${onGpu ? 'GPU' : 'CPU'}${rows === 2 ? ', guided' : ''}`
    return own.length > 0
      ? own.map((each) => `${heading(each.rows)}\n\n${section(each)}\n`)
      : [`${heading(1)}\n\nNot measured.\n`]
  }),
)

const text = `# Real shapes

Written by \`node scripts/shapes-doc.mjs\` from [bench/results/shapes.json](../bench/results/shapes.json), which \`bench/shapes/shapes.ts\` made: what a pass, a
pruned pass and a step cost at the latents, token counts and widths of the published models. Weights are random, so that nothing here says how good a picture is, and what
\`sada\` skips is what it skips on these networks; how much it skips on trained ones is another matter. The networks are smaller than the published ones where it says so, and no figure has been scaled up from them.

${sections.join('\n')}
## To make it again

\`\`\`sh
python3 -m venv venv && venv/bin/pip install -r models/export/requirements.txt
npx tsx bench/shapes/shapes.ts sd2 sdxl flux --python venv/bin/python --json bench/results/shapes.json   # about 12 GB of memory, 12 GB in the temporary folder
node scripts/shapes-doc.mjs
\`\`\`

On a machine with a GPU, uncut, in float16, without a network or Node there: \`bench/gpu/pack.mjs\` packs the package; graphs are carried, weights are made there
(numpy, 24 GB for Flux). Then put its results beside the others:

\`\`\`sh
venv/bin/python bench/shapes/make.py folders --uncut --weightless
node bench/shapes/pack.mjs folders payload
# there:  N=/path/of/sada-gpu OUT=results SADA_ONNXRUNTIME_PATH=/path/of/onnxruntime-gpu payload/run.sh
npx tsx bench/shapes/shapes.ts --combine results/shapes-sdxl.json --json bench/results/shapes.json
\`\`\`
`
const path = `${root}docs/shapes.md`
if (!process.argv.includes('--check')) writeFileSync(path, text)
else if (readFileSync(path, 'utf8') !== text) {
  console.error('docs/shapes.md does not show the recorded results: run node scripts/shapes-doc.mjs')
  process.exitCode = 1
}
