// Writes the README's table between its markers, and docs/results.md, from recorded results: no figure there is typed by hand.
//
//   node scripts/readme-figures.mjs [--check]
//
// bench/results/avatar.json      npx sada-bench --samples 48 --json bench/results/avatar.json
// bench/results/fidelity.json    npx tsx bench/fidelity.ts --guidance 1,3 --fixed --json FILE: full prompts, at 7 with --prompts 36, of flow-euler at 3 with
//                                --prompts 72; the short ones with --kind short --prompts 72, and of dpm++ and euler at 1 and of all at 3
//                                --seed 2000,3000,4000,5000 without --fixed; the cases of all files in one
// bench/results/overhead.json    npx tsx bench/overhead.ts --json bench/results/overhead.json
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const read = (name) => JSON.parse(readFileSync(join(root, 'bench', 'results', name), 'utf8'))
const db = (value) => (value === null || !Number.isFinite(value) ? '∞' : value.toFixed(1))
/** Mean, mean of the worst tenth (rounded up), and worst of PSNRs in dB; a null is an equal picture and counts as 150. */
const summary = (psnr) => {
  const sorted = psnr.map((value) => Math.min(value ?? 150, 150)).sort((a, b) => a - b)
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
  return { mean: mean(sorted), decile: mean(sorted.slice(0, Math.ceil(sorted.length / 10))), worst: sorted[0] }
}
const says = (psnr) => {
  const { mean, decile, worst } = summary(psnr)
  return `${db(mean)} / ${db(decile)} / ${db(worst)}`
}
const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

function speed({ machine, versions, cases }) {
  const rows = cases.flatMap(({ scheduler, nfe, steps, speedup, pictures, fewer_steps: fewer }) =>
    ['full', 'short'].map((kind, k) => {
      const of = (key) => says(pictures.filter((picture) => picture.kind === kind).map((picture) => picture[key]))
      const speed = `**${speedup.wall.toFixed(2)} ×** (${speedup.wall_p05.toFixed(2)}–${speedup.wall_p95.toFixed(2)})`
      const shared = [scheduler, speed, `${nfe.mean.toFixed(1)} of ${steps}`]
      return [...(k === 0 ? shared : ['', '', '']), kind, of('psnr_db'), `${of('fewer_steps_psnr_db')} in ${fewer.steps} steps`]
    }),
  )
  const head = [
    'scheduler',
    'wall speed-up (5–95 %)',
    'network runs',
    'prompts',
    '`sada`, PSNR mean / worst tenth / worst',
    'fewer plain steps of the same time',
  ]
  return [
    `50 steps of the bundled model at guidance ${cases[0].guidance}, ${cases[0].samples} pictures for each scheduler, beside the unaccelerated run with as many steps as fit into the same time:`,
    '',
    table(head, rows),
    '',
    `Measured by \`sada-bench\` on ${machine.cpu}, ${machine.cores} cores, CPU backend (ONNX Runtime ${versions.onnxruntime}), commit ${versions.commit ?? 'unknown'}: [bench/results/avatar.json](bench/results/avatar.json).`,
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
  return table(head, rows)
}

function overhead({ machine, results }) {
  const rows = results.map(({ scheduler, sada_us, torch_us, ratio }) => [
    scheduler,
    `${sada_us.toFixed(0)} µs`,
    `${torch_us.toFixed(0)} µs`,
    `${ratio.p50.toFixed(2)} (${ratio.p05.toFixed(2)}–${ratio.p95.toFixed(2)})`,
  ])
  return [
    `Run in turns on ${machine}, from [bench/results/overhead.json](../bench/results/overhead.json):`,
    '',
    table(['scheduler', 'sada', 'PyTorch', 'ratio (5–95 %)'], rows),
  ].join('\n')
}

const results = () => `# How close, and at what cost

Written by \`node scripts/readme-figures.mjs\` from recorded results. The [README](../README.md) has guidance 3 with wall times; [table1.md](table1.md) has every other policy.

## At three guidance scales

50 steps of the bundled model. Each cell is the PSNR in dB against the full run of the same seed: mean / mean of the worst tenth, rounded up / worst; an equal picture counts as 150 dB.

- *cost*: in full network runs of 50.
- *plain fewer steps*: the unaccelerated run with as many steps as \`sada\` costs.
- *best fixed schedule*: every 2nd, 3rd or 4th step runs, the others are continued linearly; as many runs as \`sada\`; the one with the best mean.

${rivals(read('fidelity.json'))}

Every picture is in [bench/results/fidelity.json](../bench/results/fidelity.json).

## The sampler's own cost

Time per step, criterion included, on latents of 1×4×128×128 with a network that returns at once, beside diffusers' \`scheduler.step\` with the criterion in PyTorch.
${overhead(read('overhead.json'))}
`

/** What the file shall say, from what it says; with --check it is only compared. */
function write(file, text) {
  const path = join(root, file)
  const before = readFileSync(path, 'utf8')
  const after = text(before)
  if (!process.argv.includes('--check')) writeFileSync(path, after)
  else if (after !== before) {
    console.error(`${file} does not show the recorded results: run node scripts/readme-figures.mjs`)
    process.exitCode = 1
  }
}

const marked = /(<!-- figures:start[^>]*-->\n)[\s\S]*?(<!-- figures:end -->)/
write('README.md', (readme) => readme.replace(marked, (_, start, end) => `${start}${speed(read('avatar.json'))}\n${end}`))
write('docs/results.md', results)
