// Writes docs/unet.md from bench/results/unet.json: node scripts/unet-doc.mjs
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { rows, steps, sessions } = JSON.parse(readFileSync(join(root, 'bench', 'results', 'unet.json'), 'utf8'))

const OURS = ['sada', 'auto:speedup=2', 'every-n']
const says = ({ mean, worst_decile: tenth }) => `${mean.toFixed(1)} / ${tenth.toFixed(1)}`
const nameOf = (row) => `${row.scheduler} ${row.guidance} ${row.kind}`
const places = [...new Set(rows.map(nameOf))].sort().map((name) => rows.filter((row) => nameOf(row) === name))
const found = places.map((all) => {
  const sada = all.find(({ method }) => method === 'sada')
  const published = all.filter(({ method }) => !OURS.includes(method))
  const asFast = published.filter(({ flops }) => flops.ratio >= sada.flops.ratio)
  const closest = (some) => some.reduce((best, row) => (row.psnr_db.mean > best.psnr_db.mean ? row : best))
  const others = OURS.slice(1).map((name) => all.find(({ method }) => method === name))
  return { sada, others, closest: closest(published), asFast: closest(asFast) }
})
const lines = found.map(({ sada, others, closest, asFast }) => {
  const rival = (row) => `${row.method} (÷ ${row.flops.ratio.toFixed(2)}) ${says(row.psnr_db)}`
  const own = `**${says(sada.psnr_db)}** in ${sada.nfe.mean.toFixed(1)} runs`
  const plain = `${says(sada.plain.psnr_db)} in ${sada.plain.steps}`
  return [
    sada.scheduler,
    sada.guidance,
    sada.kind,
    own,
    plain,
    rival(asFast),
    rival(closest),
    ...others.map((row) => says(row.psnr_db)),
  ]
})
const head = [
  'scheduler',
  'guidance',
  'prompts',
  '`sada`',
  'plain steps of the same operations',
  'closest published policy as fast',
  'closest published policy',
  '`auto` at 2× (25 runs)',
  '`every-n` (25 runs)',
]
const table = [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

const gains = (key) => found.map(({ sada }) => sada.plain.gain_db[key])
const range = (values) => `${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)} dB`
const leads = (key) => found.map(({ sada, closest }) => sada.psnr_db[key] - closest.psnr_db[key])
const [{ sada }] = found
const commits = [...new Set(sessions.map(({ commit }) => commit.slice(0, 7)))].join(', ')

writeFileSync(
  join(root, 'docs', 'unet.md'),
  `# A second model: a U-Net of Stable Diffusion's classes

Written by \`node scripts/unet-doc.mjs\` from [bench/results/unet.json](../bench/results/unet.json).

The defaults of \`sada\` were set on the bundled model, a transformer on pixels that predicts the clean picture. Whether they hold elsewhere cannot be seen on that. So another one was trained for
this alone, on the same rendered pictures: a latent U-Net with skip connections and cross-attention, an autoencoder and a text encoder, in diffusers' classes \`StableDiffusionPipeline\`,
\`UNet2DConditionModel\`, \`AutoencoderKL\` and \`CLIPTextModel\`, that predicts noise on Stable Diffusion's noise schedule. It has 3.3 million parameters and latents of 8 × 16 × 16, and was trained for 75 minutes on one core
(2800 steps of 64) by [models/training/train_unet.py](../models/training/train_unet.py); its pictures can be told apart and are no better than that. **Nothing of \`sada\` was changed for it.**

${steps} steps, ${sada.samples} pictures a row, PSNR of 8-bit pictures in dB against the run of every step: mean / mean of the worst tenth. Behind "÷" by how much the network's operations are fewer. Every
policy is at its defaults; those that a U-Net cannot run (\`dbcache\`, \`first-block-cache\`, \`teacache\`) are missing. Wall times are not given: two runs shared the machine.

${table}

- \`sada\` is ahead of plain steps of the same cost in all ${found.length} rows, by ${range(gains('mean'))} on average and ${range(gains('worst_decile'))} in the worst tenth.
- Against the published policy that comes closest, which mostly is a slower one, it is ahead by ${range(leads('mean'))} on average and ${range(leads('worst_decile'))} in the worst tenth.
- Most published policies are further from the full run here than plain steps are. They were made for larger models, on which errors that show in these figures may not be seen.
- It is one small model, and its pictures are those of the bundled one. No pretrained model of that architecture was at hand.

Measured by commit ${commits} (what the first two commands need: [models/README.md](../models/README.md)):

\`\`\`sh
node models/training/render.mjs 60000 data
python models/training/train_unet.py data --autoencoder-minutes 10 --minutes 75
cd models && python -m export ../data/unet -o ../unet && cd ..
npx sada-bench table1 -m unet --prompts models/avatar/prompts.json --samples 32 --scheduler dpm++,euler --guidance 1,3,7 --plain-by flops --resume unet.jsonl --json bench/results/unet.json
\`\`\`
`,
)
