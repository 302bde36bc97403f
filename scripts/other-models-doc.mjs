// Writes docs/other-models.md from bench/results/{unet,controlnet,sdxl,flux,musicldm}.json: node scripts/other-models-doc.mjs
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

const UNET = {
  file: 'unet.json',
  title: "A U-Net of Stable Diffusion's classes",
  about: `Skip connections and cross-attention, an autoencoder and a text encoder, in diffusers' classes \`StableDiffusionPipeline\`, \`UNet2DConditionModel\`, \`AutoencoderKL\` and
\`CLIPTextModel\`; predicts noise, on Stable Diffusion's noise schedule. 3.3 million parameters, latents of 8 × 16 × 16; trained for 75 minutes on one core (2800 steps of 64) by
[models/training/train_unet.py](../models/training/train_unet.py). Its pictures can be told apart and are no better than that.`,
  missing: ' Policies that a U-Net cannot run (`dbcache`, `first-block-cache`, `teacache`) are missing.',
  commands: `python models/training/train_unet.py data --autoencoder-minutes 10 --minutes 75
cd models && python -m export ../data/unet -o ../unet && cd ..
npx sada-bench table1 -m unet --prompts models/avatar/prompts.json --samples 32 --scheduler dpm++,euler --guidance 1,3,7 --plain-by flops --resume unet.jsonl --json bench/results/unet.json`,
}
const CONTROLNET = {
  file: 'controlnet.json',
  title: 'The same U-Net led by a ControlNet',
  about: `A ControlNet (diffusers' \`ControlNetModel\`, 1.5 million parameters) for the edges of pictures, trained for 45 minutes on one core (some 1180 steps of 64) beside the U-Net above, which stayed as it
was: [models/training/train_controlnet.py](../models/training/train_controlnet.py). Each prompt comes with the edges of a picture that was held out of training: a full prompt with those of its own
picture, a short one with those of another that it fits. Shapes follow the edges; colours follow prompts as little as those of the U-Net by itself. A skipped step skips both networks.`,
  missing: ' Policies that a U-Net cannot run are missing.',
  commands: `python models/training/train_controlnet.py data --minutes 45
cd models && python -m export ../data/unet -o ../unet-edges --controlnet ../data/controlnet && cd ..
npx sada-bench table1 -m unet-edges --prompts models/avatar/prompts.json --control data/edges --samples 32 --scheduler dpm++,euler --guidance 1,3,7 --plain-by flops --resume controlnet.jsonl --json bench/results/controlnet.json`,
}
const FLUX = {
  file: 'flux.json',
  title: "A transformer of Flux's classes",
  about: `Double and single blocks over image and text tokens together, rotary positions, packed latents, T5's states and CLIP's pooled vector, in diffusers' classes \`FluxPipeline\` and
\`FluxTransformer2DModel\`; flow matching with Flux dev's shifting, and, as in dev, guidance distilled into the network: a scale is an input, and each step one pass. 3.7 million
parameters, 64 image tokens; trained for 60 minutes on one core (some 1300 steps of 64) and distilled for 20 (some 280) by
[models/training/train_flux.py](../models/training/train_flux.py). After so little of it, pictures at 1, 3 and 7 differ little.`,
  missing: '',
  commands: `python models/training/train_flux.py data --autoencoder-minutes 10 --minutes 60 --distillation-minutes 20
cd models && python -m export ../data/flux -o ../flux && cd ..
npx sada-bench table1 -m flux --prompts models/avatar/prompts.json --samples 32 --steps 50 --width 64 --height 64 --scheduler flow-euler,dpm++ --guidance 1,3,7 --plain-by flops --resume flux.jsonl --json bench/results/flux.json`,
}
const SDXL = {
  file: 'sdxl.json',
  title: "A U-Net of Stable Diffusion XL's classes",
  about: `Two text encoders side by side, pooled text and sizes beside the time, no attention at full resolution, in diffusers' classes \`StableDiffusionXLPipeline\` and
\`UNet2DConditionModel\`; predicts noise, on the same noise schedule and latents as the U-Net above. 5.7 million parameters; trained for 60 minutes on one core (some 2090 steps of 64) by
[models/training/train_sdxl.py](../models/training/train_sdxl.py). Pictures follow their prompts' colours and kinds, with blurred details. The spacing
of its steps, \`leading\` as in the published one, lets fewer plain steps begin at another noise level: that is much of what they are off, most with Euler.`,
  missing: ' Policies that a U-Net cannot run are missing.',
  commands: `python models/training/train_sdxl.py data --autoencoder-minutes 10 --minutes 60
cd models && python -m export ../data/sdxl -o ../sdxl && cd ..
npx sada-bench table1 -m sdxl --prompts models/avatar/prompts.json --samples 24 --scheduler dpm++,euler --guidance 1,3,7 --plain-by flops --resume sdxl.jsonl --json bench/results/sdxl.json`,
}
const MUSICLDM = {
  file: 'musicldm.json',
  made: 'sounds',
  title: "Sounds: a model of MusicLDM's classes",
  about: `CLAP's vector of a text beside the time, self-attention alone, latents of mel spectrograms, a vocoder, in diffusers' class \`MusicLDMPipeline\`. 2.9 million parameters,
sounds of 1.28 seconds: instruments that play a few notes over drums, as their prompts say
([models/training/sounds.py](../models/training/sounds.py)); trained on one core by [models/training/train_musicldm.py](../models/training/train_musicldm.py): the autoencoder for 8 minutes, the vocoder for 6, on spectra
alone, so that sounds hum. The U-Net took two parts, some 2100 steps of 64 in all: 40 minutes with a text encoder that had not been taught yet, after which prompts hardly counted, and 22 with
one that had; the script does it in one. Drums follow prompts, melodies hardly. What is compared are mel spectrograms of the sounds themselves, as pictures, from 80 dB below a full-scale tone
of 1 kHz up to its level. Fewer plain steps begin at another noise level, as above.`,
  missing: ' Policies that a U-Net cannot run are missing.',
  commands: `python models/training/sounds.py 16000 sounds
python models/training/train_musicldm.py sounds --autoencoder-minutes 8 --vocoder-minutes 6 --text-minutes 2 --minutes 60
cd models && python -m export ../sounds/musicldm -o ../musicldm && cd ..
npx sada-bench table1 -m musicldm --prompts sounds/prompts.json --samples 24 --steps 50 --scheduler dpm++,euler --guidance 1,3,7 --plain-by flops --resume musicldm.jsonl --json bench/results/musicldm.json`,
}

const OURS = ['sada', 'auto:speedup=2', 'every-n']
const HEAD = ['scheduler', 'guidance', 'prompts', '`sada`', 'plain steps of the same operations']
HEAD.push('closest published policy as fast', 'closest published policy', '`auto` at 2× (25 runs)', '`every-n` (25 runs)')

const says = ({ mean, worst_decile: tenth }) => `${mean.toFixed(1)} / ${tenth.toFixed(1)}`
const nameOf = (row) => `${row.scheduler} ${row.guidance} ${row.kind}`
const signed = (value) => value.toFixed(1).replace('-', '−')
const range = (values) => `${signed(Math.min(...values))} to ${signed(Math.max(...values))} dB`
const ofAll = (count, all) => (count === all ? `all ${all}` : `${count} of ${all}`)
const countOf = (some, fits) => some.filter(fits).length

/** The rows of one scheduler, guidance and kind of prompts: ours, and who comes closest. */
function placeOf(all) {
  const [sada, ...others] = OURS.map((name) => all.find(({ method }) => method === name))
  const published = all.filter(({ method }) => !OURS.includes(method))
  const closest = (some) => some.reduce((best, row) => (best && best.psnr_db.mean >= row.psnr_db.mean ? best : row), undefined)
  const fast = published.filter(({ flops }) => flops.ratio >= sada.flops.ratio)
  return { sada, others, published, fast, closest: closest(published), asFast: closest(fast) }
}

function lineOf({ sada, others, closest, asFast }) {
  const rival = (row) => (row ? `${row.method} (÷ ${row.flops.ratio.toFixed(2)}) ${says(row.psnr_db)}` : 'none')
  const own = `**${says(sada.psnr_db)}** in ${sada.nfe.mean.toFixed(1)} runs`
  const plain = `${says(sada.plain.psnr_db)} in ${sada.plain.steps}`
  const cells = [sada.scheduler, sada.guidance, sada.kind, own, plain, rival(asFast), rival(closest)]
  return [...cells, ...others.map((row) => says(row.psnr_db))]
}

function section({ file, title, about, made = 'pictures', missing, commands }) {
  const { rows, steps, sessions } = JSON.parse(readFileSync(join(root, 'bench', 'results', file), 'utf8'))
  const places = [...new Set(rows.map(nameOf))].sort().map((name) => placeOf(rows.filter((row) => nameOf(row) === name)))
  const table = [HEAD, HEAD.map(() => '---'), ...places.map(lineOf)].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
  const gains = (key) => places.map(({ sada }) => sada.plain.gain_db[key])
  const leads = (key) => places.map(({ sada, closest }) => sada.psnr_db[key] - closest.psnr_db[key])
  const leadsOfFast = (key) =>
    places.map(({ sada, fast }) => sada.psnr_db[key] - Math.max(...fast.map((row) => row.psnr_db[key])))
  const published = places.flatMap((place) => place.published)
  const slower = countOf(places, ({ sada, closest }) => closest.flops.ratio < sada.flops.ratio)
  const behind = countOf(published, ({ plain }) => plain !== null && plain.gain_db.mean < 0)
  return `## ${title}

${about}

${steps} steps, ${places[0].sada.samples} ${made} a row ([bench/results/${file}](../bench/results/${file})).${missing}

${table}

- \`sada\` is ahead of plain steps of the same cost on average in ${ofAll(
    countOf(gains('mean'), (gain) => gain > 0),
    places.length,
  )} rows (by ${range(gains('mean'))}), and in the worst tenth in ${ofAll(
    countOf(gains('worst_decile'), (gain) => gain > 0),
    places.length,
  )} (by ${range(gains('worst_decile'))}).
- Of the published policies that are as fast, the best one's average is ${range(leadsOfFast('mean'))} below, the best one's worst tenth ${range(leadsOfFast('worst_decile'))}.
- The published policy that comes closest whatever its speed is a slower one in ${ofAll(slower, places.length)}: its average is ${range(leads('mean'))} below, its worst tenth ${range(leads('worst_decile'))}.${['mean', 'worst_decile'].some((key) => Math.min(...leads(key), ...leadsOfFast(key)) < 0) ? ' Where a figure is negative, `sada` is the one below.' : ''}
- ${behind} of ${published.length} rows of published policies are further from the full run than plain steps of their cost are.

Measured by commit ${[...new Set(sessions.map(({ commit }) => commit.slice(0, 7)))].join(', ')}:

\`\`\`sh
${commands}
\`\`\`
`
}

writeFileSync(
  join(root, 'docs', 'other-models.md'),
  `# The defaults on other models

Written by \`node scripts/other-models-doc.mjs\`.

The defaults of \`sada\` were set on the bundled model, a transformer on pixels that predicts the clean picture. Whether they hold elsewhere cannot be seen on that. So others were trained for
this alone, all but one on the same rendered pictures (\`node models/training/render.mjs 60000 data\`; what that needs: [models/README.md](../models/README.md)). **Nothing of \`sada\` was changed for them.**

PSNR of 8-bit pictures in dB against the run of every step: mean / mean of the worst tenth. Behind "÷" by how much the network's operations are fewer. Every policy is at its defaults, as
published policies were made for larger models, on which errors that show in these figures may not be seen; MagCache and TeaCache are not calibrated, which [gained little](table1.md#magcache-and-teacache-calibrated) on the
bundled model. Wall times are not given: two runs shared the machine. All are small models, and
their pictures, but for the sounds, are those of the bundled one; no pretrained model of these architectures was at hand.

**With DPM++ and Euler at guidance 7** \`sada\` and \`auto\` are here as they were until 2026-11-28, with \`damping\` 0. What [that does](policies.md#strong-guidance) was measured on the bundled model alone.

${[UNET, CONTROLNET, SDXL, FLUX, MUSICLDM].map(section).join('\n')}`,
)
