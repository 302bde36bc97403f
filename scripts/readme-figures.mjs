// Writes the README's figures from recorded results, between its markers: no figure there is typed by hand.
//
//   node scripts/readme-figures.mjs [--check]
//
// bench/results/avatar.json      npx sada-bench --samples 128 --json bench/results/avatar.json
// bench/results/fidelity.json    npx tsx bench/fidelity.ts --guidance 1,3 --fixed --json FILE: full prompts, at 7 with --prompts 36; the short ones with --kind
//                                short --prompts 72, and at 1 and 3 --seed 2000,3000,4000,5000 without --fixed; the cases of all files in one
// bench/results/overhead.json    npx tsx bench/overhead.ts --json bench/results/overhead.json
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const read = (name) => JSON.parse(readFileSync(join(root, 'bench', 'results', name), 'utf8'))
const db = (value) => (value === null || !Number.isFinite(value) ? '∞' : value.toFixed(1))
/** Mean, mean of the worst tenth, and worst of PSNRs in dB; a null is an equal picture and counts as 150. */
const summary = (psnr) => {
  const sorted = psnr.map((value) => Math.min(value ?? 150, 150)).sort((a, b) => a - b)
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
  return { mean: mean(sorted), decile: mean(sorted.slice(0, Math.max(1, Math.round(sorted.length / 10)))), worst: sorted[0] }
}
const says = (psnr) => {
  const { mean, decile, worst } = summary(psnr)
  return `${db(mean)} / ${db(decile)} / ${db(worst)}`
}
const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

function speed({ machine, versions, cases }) {
  const of = (pictures, kind, key) => says(pictures.filter((picture) => picture.kind === kind).map((picture) => picture[key]))
  const rows = cases.map(({ scheduler, nfe, steps, speedup, pictures, fewer_steps: fewer }) => [
    scheduler,
    `${nfe.mean.toFixed(1)} of ${steps}`,
    `**${speedup.wall.toFixed(2)} ×** (${speedup.wall_p05.toFixed(2)}–${speedup.wall_p95.toFixed(2)})`,
    ...['full', 'short'].map((kind) => of(pictures, kind, 'psnr_db')),
    ...['full', 'short'].map((kind) => of(pictures, kind, 'fewer_steps_psnr_db')),
    String(fewer.steps),
  ])
  const head = [
    'scheduler',
    'network runs',
    'wall speed-up (5–95 %)',
    'full prompts, PSNR mean / worst tenth / worst',
    'short prompts',
    'plain fewer steps of the same time: full',
    'short',
    'steps',
  ]
  return [
    `The default policy on the bundled model, 50 steps, guidance ${cases[0].guidance}, ${cases[0].samples} pictures per row, beside the unaccelerated run with as many`,
    'steps as fit into the same time. PSNR in dB against the full run of the same seed (60 dB differs by less than one 8-bit level). Full prompts say nearly',
    'everything about the picture; short ones leave choices that are made early on the way, where a small error makes another picture.',
    '',
    table(head, rows),
    '',
    `Measured by \`sada-bench\` on ${machine.cpu}, ${machine.cores} cores, CPU backend (ONNX Runtime ${versions.onnxruntime}), commit ${versions.commit ?? 'unknown'}: [bench/results/avatar.json](bench/results/avatar.json). GPU: [docs/gpu.md](docs/gpu.md).`,
  ].join('\n')
}

/** The cases of one setting, which differ in their seeds, as one; fixed schedules ran for some of them. */
function joined(cases) {
  const [own, plain] = [0, 1].map((k) => ({
    cost: cases.reduce((sum, { outcomes }) => sum + outcomes[k].cost, 0) / cases.length,
    psnr: cases.flatMap(({ outcomes }) => outcomes[k].psnr),
  }))
  return { ...cases[0], outcomes: [own, plain, ...cases.flatMap(({ outcomes }) => outcomes.slice(2))] }
}

function rivals({ cases }) {
  const settingOf = ({ guidance, scheduler, prompts }) => `${guidance} ${scheduler} ${prompts}`
  const settings = [...new Set(cases.map(settingOf))].map((one) => joined(cases.filter((each) => settingOf(each) === one)))
  const rows = settings.map(({ guidance, scheduler, prompts, outcomes }) => {
    const [own, plain, ...fixed] = outcomes
    const best = fixed.length === 0 ? undefined : fixed.reduce((a, b) => (summary(b.psnr).mean > summary(a.psnr).mean ? b : a))
    const fewer = best && best.psnr.length < own.psnr.length ? ` (${best.psnr.length} of them)` : ''
    return [
      guidance,
      scheduler,
      prompts,
      own.psnr.length,
      own.cost.toFixed(1),
      says(own.psnr),
      says(plain.psnr),
      best ? says(best.psnr) + fewer : 'not run',
    ]
  })
  const head = [
    'guidance',
    'scheduler',
    'prompts',
    'pictures',
    'cost',
    'sada: mean / worst tenth / worst',
    'plain fewer steps',
    'best fixed schedule (by mean)',
  ]
  return [
    `At other guidance scales, and beside the best of three fixed schedules (every 2nd, 3rd, 4th step, linear) of as many runs (cost in full network runs of 50;`,
    '[bench/results/fidelity.json](bench/results/fidelity.json)):',
    '',
    table(head, rows),
  ].join('\n')
}

function overhead({ machine, results }) {
  const rows = results.map(({ scheduler, sada_us, torch_us, ratio }) => [
    scheduler,
    `${sada_us.toFixed(0)} µs`,
    `${torch_us.toFixed(0)} µs`,
    `${ratio.p50.toFixed(2)} (${ratio.p05.toFixed(2)}–${ratio.p95.toFixed(2)})`,
  ])
  return [
    "The sampler's own cost per step, criterion included, on 1×4×128×128 latents with a network that returns at once, beside diffusers' `scheduler.step` and",
    `the criterion in PyTorch, run in turns on ${machine} ([bench/results/overhead.json](bench/results/overhead.json)):`,
    '',
    table(['scheduler', 'sada', 'PyTorch', 'ratio (5–95 %)'], rows),
  ].join('\n')
}

const path = join(root, 'README.md')
const readme = readFileSync(path, 'utf8')
const figures = [speed(read('avatar.json')), rivals(read('fidelity.json')), overhead(read('overhead.json'))].join('\n\n')
const marked = /(<!-- figures:start[^>]*-->\n)[\s\S]*?(<!-- figures:end -->)/
const written = readme.replace(marked, (_, start, end) => `${start}${figures}\n${end}`)
if (!process.argv.includes('--check')) writeFileSync(path, written)
else if (written !== readme) {
  console.error('README.md does not show the recorded results: run node scripts/readme-figures.mjs')
  process.exitCode = 1
}
