// Renders the training pictures and writes their prompts: node render.mjs COUNT [FOLDER]
// Needs @dicebear/core and @dicebear/collection 9.4.3, and sharp. Pictures 0–499 are held out of training.
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAvatar } from '@dicebear/core'
import { bigSmile, bottts, toonHead } from '@dicebear/collection'
import sharp from 'sharp'

const SIZE = 64
const BATCH = 16

const BACKGROUNDS = { blue: 'b6e3f4', purple: 'c0aede', pink: 'ffd5dc', peach: 'ffdfbf', mint: 'c1f4c5', white: 'ffffff' }

const ROBOT_COLOURS = {
  '#546e7a': 'slate', '#6d4c41': 'brown', '#00acc1': 'cyan', '#ffb300': 'amber', '#1e88e5': 'blue', '#757575': 'gray', '#3949ab': 'indigo',
  '#43a047': 'green', '#5e35b1': 'violet', '#fdd835': 'yellow', '#00897b': 'teal', '#d81b60': 'pink', '#8e24aa': 'purple', '#e53935': 'red',
  '#fb8c00': 'orange', '#c0ca33': 'lime', '#039be5': 'azure', '#7cb342': 'olive', '#f4511e': 'coral',
}
const HAIR_COLOURS = {
  '#d6b370': 'blond', '#724133': 'brown', '#2c1b18': 'black', '#a55728': 'auburn', '#b58143': 'golden',
  '#605de4': 'violet', '#e2ba87': 'blond', '#e9b729': 'golden', '#220f00': 'black', '#d56c0c': 'ginger', '#3a1a00': 'brown', '#238d80': 'teal',
  '#71472d': 'auburn',
}
const CLOTHES_COLOURS = {
  '#e8e9e6': 'white', '#151613': 'black', '#ec4899': 'pink', '#731ac3': 'purple', '#545454': 'gray', '#0b3286': 'navy', '#eab308': 'yellow',
  '#147f3c': 'green', '#b11f1f': 'red', '#f97316': 'orange',
}
const SKINS = {
  '#f1c3a5': 'light', '#c68e7a': 'rosy', '#5c3829': 'dark', '#a36b4f': 'brown', '#b98e6a': 'tan',
  '#8c5a2b': 'brown', '#ffe4c0': 'pale', '#efcc9f': 'light', '#c99c62': 'tan', '#a47539': 'bronze', '#e2ba87': 'beige', '#f5d7b1': 'fair', '#643d19': 'dark',
}

/** squareAssymetric02 → "square assymetric" */
const words = (name) => name.replace(/([A-Z])/g, ' $1').replace(/\d+/g, '').toLowerCase().trim()

const KINDS = [
  {
    style: toonHead,
    subject: () => 'a toon person',
    attributes: (it) => [
      `${it.mouth === 'smile' ? 'smiling' : words(it.mouth)} mouth`,
      `${words(it.eyes)} eyes`,
      `${words(it.eyebrows)} eyebrows`,
      `${HAIR_COLOURS[it.hairColor]} ${words(it.hair === 'sideComed' ? 'sideCombed' : it.hair)} hair`,
      `${SKINS[it.skinColor]} skin`,
      `${CLOTHES_COLOURS[it.clothesColor]} ${words(it.clothes)}`,
      it.rearHair && `${words(it.rearHair)} rear hair`,
      it.beard && `${words(it.beard)} beard`,
    ],
  },
  {
    style: bottts,
    subject: (it) => `a ${ROBOT_COLOURS[it.baseColor]} robot`,
    attributes: (it) => [
      `${words(it.eyes)} eyes`,
      `${words(it.mouth)} mouth`,
      `${words(it.top)} on top`,
      `${words(it.sides)} sides`,
      `${words(it.face)} face`,
      it.texture && `${words(it.texture)} texture`,
    ],
  },
  {
    style: bigSmile,
    subject: () => 'a kid',
    attributes: (it) => [
      `${words(it.mouth)} mouth`,
      `${words(it.eyes)} eyes`,
      `${HAIR_COLOURS[it.hairColor]} ${words(it.hair)} hair`,
      `${SKINS[it.skinColor]} skin`,
      it.accessories && `wearing ${words(it.accessories)}`,
    ],
  },
]

async function picture(index) {
  const kind = KINDS[index % KINDS.length]
  const names = Object.keys(BACKGROUNDS)
  const background = names[Math.floor(index / KINDS.length) % names.length]
  const avatar = createAvatar(kind.style, { seed: `train-${index}`, size: 2 * SIZE, backgroundColor: [BACKGROUNDS[background]] })
  const drawn = sharp(Buffer.from(avatar.toString())).resize(SIZE, SIZE, { kernel: 'lanczos3' })
  const it = avatar.toJson().extra
  const prompt = [`${kind.subject(it)} with ${kind.attributes(it).filter(Boolean).join(', ')}`, `on a ${background} background`].join(', ')
  return { prompt, pixels: await drawn.flatten({ background: '#fff' }).removeAlpha().raw().toBuffer() }
}

const count = Number(process.argv[2])
const folder = process.argv[3] ?? '.'
mkdirSync(folder, { recursive: true })
sharp.concurrency(1)
const pixels = createWriteStream(join(folder, 'pictures.bin')) // uint8 [count, 64, 64, 3]
const prompts = []
for (let start = 0; start < count; start += BATCH) {
  const indices = Array.from({ length: Math.min(BATCH, count - start) }, (_, k) => start + k)
  for (const made of await Promise.all(indices.map(picture))) {
    prompts.push(made.prompt)
    pixels.write(made.pixels)
  }
}
pixels.end()
writeFileSync(join(folder, 'prompts.json'), JSON.stringify(prompts, null, 0))
