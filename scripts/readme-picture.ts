/**
 * docs/avatars.png for the README: full runs of the bundled model, the same with the default policy, and their difference, amplified.
 *
 *   npx tsx scripts/readme-picture.ts
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { load } from '../ts/index.ts'

const SCALE = 2
const GAP = 8
const AMPLIFIED = 8
const prompts = [
  'a toon person with smiling mouth, happy eyes, raised eyebrows, auburn undercut hair, light skin, purple dress, long wavy rear hair, on a blue background',
  'a teal robot with round eyes',
  'a kid with teeth smile mouth, cheery eyes, violet straight hair hair, tan skin, wearing glasses, on a mint background',
  'a smiling toon person',
  'an orange robot',
  'a kid with ginger bun hair',
]

async function main(): Promise<void> {
  const pipeline = await load('avatar')
  const seed = prompts.map((_, k) => 20 + k)
  const full = await pipeline.generate({ prompt: prompts, seed, policy: 'none' })
  const fast = await pipeline.generate({ prompt: prompts, seed })
  await pipeline.dispose()
  const difference = full.images.map(({ data }, k) =>
    data.map((value, at) => Math.min(255, 128 + AMPLIFIED * (value - fast.images[k].data[at]))),
  )
  const rows = [full.images.map(({ data }) => data), fast.images.map(({ data }) => data), difference]
  const cell = 64 * SCALE
  const [width, height] = [prompts.length * (cell + GAP) - GAP, rows.length * (cell + GAP) - GAP]
  const sheet = new Uint8Array(width * height * 4) // the gaps stay transparent
  for (const [r, row] of rows.entries()) {
    for (const [c, data] of row.entries()) {
      for (let y = 0; y < cell; y++) {
        for (let x = 0; x < cell; x++) {
          const from = (Math.floor(y / SCALE) * 64 + Math.floor(x / SCALE)) * 3
          const to = ((r * (cell + GAP) + y) * width + c * (cell + GAP) + x) * 4
          sheet.set([data[from], data[from + 1], data[from + 2], 255], to)
        }
      }
    }
  }
  const { encode } = await import('fast-png')
  writeFileSync(join(__dirname, '..', 'docs', 'avatars.png'), encode({ width, height, data: sheet, channels: 4, depth: 8 }))
  console.log(`docs/avatars.png: ${fast.trace.members.map(({ nfe }) => nfe).join(', ')} network runs of 50`)
}

void main()
