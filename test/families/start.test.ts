import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { latentMask, noStart } from '../../ts/families/start.ts'
import { load, type GenerateOptions, type Pipeline, type Pixels } from '../../ts/index.ts'
import { failure } from '../support/failure.ts'
import { familyFolder, relativeError } from '../support/families.ts'

// Where a run starts, and what is kept of a picture, on a model made of formulas (test/fixtures/layouts/make.py): a latent is a picture's
// colour in a square of 2 × 2. What diffusers makes of pictures and masks is in recorded.test.ts.

const folder = join(__dirname, '../fixtures/layouts/diffusers-onnx')
const [width, height] = [6, 4]
const grey = Uint8Array.from(
  { length: width * height },
  (_, p) => (Math.floor((p % width) / 2) * 50 + Math.floor(p / 12) * 25) % 256,
)
const picture = (channels: number, value: (p: number, c: number) => number): Pixels => ({
  width,
  height,
  data: Uint8Array.from({ length: grey.length * channels }, (_, k) => value(Math.floor(k / channels), k % channels)),
})

let pipeline: Pipeline
test.before(async () => void (pipeline = await load(folder, { threads: 1 })))
test.after(() => pipeline.dispose())
const generate = (options: Partial<GenerateOptions>) =>
  pipeline.generate({ prompt: 'a cat', steps: 5, seed: 3, policy: 'none', ...options })

test('a picture of one value for each pixel is that of three equal ones; a fourth says nothing', async () => {
  const { latents } = await generate({ init: picture(3, (p) => grey[p]), strength: 0.6 })
  assert.equal((await generate({ init: picture(1, (p) => grey[p]), strength: 0.6 })).latents, latents)
  assert.equal((await generate({ init: picture(4, (p, c) => (c < 3 ? grey[p] : p)), strength: 0.6 })).latents, latents)
})

test('pictures and latents in arrays of another realm are as good as any', async () => {
  const own = picture(3, (p) => grey[p])
  const expected = await generate({ init: own, strength: 0.6 })
  const bytes = (values: ArrayLike<number>) => runInNewContext('Uint8Array.from(values)', { values }) as Uint8Array
  const png = bytes(await expected.images[0].png())
  assert.equal((await generate({ init: { ...own, data: bytes(own.data) }, strength: 0.6 })).latents, expected.latents)
  assert.equal((await generate({ init: png })).latents, (await generate({ init: expected.images[0] })).latents)
  const latents = runInNewContext('Float32Array.from(values)', { values: expected.latents }) as Float32Array
  const of = (values: Float32Array) => generate({ width, height, init: { latents: values }, strength: 0.6 })
  assert.equal((await of(latents)).latents, (await of(expected.latents)).latents)
})

test('pictures, masks and latents may be changed as soon as the call was made', async () => {
  const init = picture(3, (p) => grey[p])
  const mask = picture(1, (p) => (p % width < 2 ? 255 : 0))
  const png = await (await generate({ init, strength: 0.6 })).images[0].png()
  for (const start of [init, png, { latents: (await generate({ init })).latents }]) {
    const given = { init: start, strength: 0.6, width, height, ...(start === init && { mask }) }
    const { latents: expected } = await generate(given)
    const run = generate(given)
    const values = [mask.data, 'data' in start ? start.data : 'latents' in start ? start.latents : start]
    const kept = values.map((each) => each.slice())
    for (const each of values) each.fill(7)
    assert.equal((await run).latents, expected)
    for (const [k, each] of values.entries()) each.set(kept[k])
  }
})

test('members of a batch start from the picture as they would alone, with a seed each or one for all', async () => {
  const square = { width: 8, height: 8, data: Uint8Array.from({ length: 192 }, (_, k) => (k * 37) % 256) }
  const latentsOf = async (members: number, seed: number | number[]) =>
    (await generate({ prompt: Array<string>(members).fill('a cat'), init: square, strength: 0.6, seed })).latents
  const [three, four] = [await latentsOf(1, 3), await latentsOf(1, 4)]
  const each = await latentsOf(2, [3, 4])
  assert.equal([each.slice(0, 64), each.slice(64)], [three, four])
  // One generator draws the picture's latents once, then the noise of all: of the first member what it draws alone.
  const all = await latentsOf(3, 3)
  assert.equal(all.slice(0, 64), three)
  assert.ok(all.every(Number.isFinite))
  for (const b of [1, 2]) assert.not.equal(all.slice(64 * b, 64 * (b + 1)), three)
})

test('members of a batch keep of the picture what they would alone, where the network reads what is kept', async () => {
  const inpainting = await load(familyFolder('sd2-inpainting'), { threads: 1 })
  const init = { width: 32, height: 24, data: Uint8Array.from({ length: 32 * 24 }, (_, k) => (k * 37) % 256) }
  const mask = { ...init, data: init.data.map((_, p) => (p % 32 < 10 ? 255 : 0)) }
  const latentsOf = async (prompt: string[], seed: number[]) =>
    (await inpainting.generate({ prompt, init, mask, steps: 3, seed, guidanceScale: 3, policy: 'none' })).latents
  const alone = [await latentsOf(['a cat'], [1]), await latentsOf(['the dog'], [2])]
  assert.equal(await latentsOf(['a cat', 'the dog'], [1, 2]), Float32Array.from(alone.flatMap((each) => [...each])))
  await inpainting.dispose()
})

test('with a mask all is made anew where nothing is said of how much, from noise alone', async () => {
  const call = { init: picture(1, (p) => grey[p]), mask: picture(1, (p) => (p % width < 2 ? 255 : 0)) }
  const { latents } = await generate(call)
  assert.equal(latents, (await generate({ ...call, strength: 1 })).latents)
  assert.not.equal(latents, (await generate({ ...call, strength: 0.8 })).latents)
})

test('where all of a picture is made anew the run is one from noise, to the last bit', async () => {
  const all = { init: picture(1, (p) => grey[p]), mask: picture(1, () => 255) }
  for (const scheduler of ['dpm++', 'euler'])
    assert.equal(
      (await generate({ ...all, scheduler })).latents,
      (await generate({ width, height, scheduler })).latents,
      scheduler,
    )
})

test('pictures have sides from one latent to 8192 pixels, and as many latents as they say', async () => {
  const said = (options: Partial<GenerateOptions>): Promise<string> =>
    pipeline.memory({ prompt: 'a cat', steps: 1, policy: 'none', ...options }).then(
      () => 'fits',
      (error: Error) => error.message,
    )
  for (const side of [2, 4, 8192]) assert.equal([await said({ width: side }), await said({ height: side })], ['fits', 'fits'])
  for (const side of [0, 1, 3, 8194]) {
    assert.match(await said({ width: side }), /"width" to be a multiple of 2 from 2 to 8192/)
    assert.match(await said({ height: side }), /"height" to be a multiple of 2 from 2 to 8192/)
  }
  const latents = (length: number) => ({ width, height, init: { latents: new Float32Array(length) }, strength: 1 })
  assert.is(await said(latents(24)), 'fits')
  for (const length of [23, 25, 48]) assert.match(await said(latents(length)), /"init\.latents" to be 24 values/)
})

test('latents of a whole run get noise as the picture has whose latents they are: what diffusers makes of latents for an image', async () => {
  const init = picture(3, (p, c) => (grey[p] + 40 * c) % 256)
  // Of each square of 2 × 2 its colour, halved by the scaling factor; the fourth channel is 0.
  const own = Float32Array.from({ length: 4 * 6 }, (_, k) => {
    const [c, y, x] = [Math.floor(k / 6), Math.floor((k % 6) / 3), k % 3]
    return c === 3 ? 0 : ((init.data[(2 * y * width + 2 * x) * 3 + c] / 255) * 2 - 1) / 2
  })
  for (const seed of [3, [3, 4]]) {
    const call = { prompt: ['a cat', 'a'], seed, strength: 0.6 }
    const expected = (await generate({ ...call, init })).latents
    const latents = Float32Array.from([...own, ...own])
    const made = await generate({ ...call, width, height, init: { latents } })
    assert.ok(relativeError(made.latents, expected) < 1e-6)
    assert.equal(latents, Float32Array.from([...own, ...own]))
  }
})

test('a latent is made anew where the upper left of its pixels is at least half white: torch’s "nearest"', () => {
  const mask = (isWhite: (row: number, column: number) => boolean, white = 255): number[] => [
    ...latentMask(
      picture(1, (p) => (isWhite(Math.floor(p / width), p % width) ? white : 0)),
      [2, 3],
      2,
    ),
  ]
  const all = Array<number>(2 * 2 * 3).fill(1)
  const none = all.map(() => 0)
  assert.equal(
    mask((row, column) => row % 2 === 0 && column % 2 === 0),
    all,
  )
  assert.equal(
    mask((row) => row % 2 === 1),
    none,
  )
  assert.equal(
    mask((_, column) => column % 2 === 1),
    none,
  )
  assert.equal(
    mask((row, column) => row === 2 && column === 4),
    [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1],
  )
  assert.equal([mask(() => true, 128), mask(() => true, 127)], [all, none])
})

test('a mask of other proportions than the picture is stretched over it', () => {
  // 3 rows of 8 pixels over 6 rows of 4 latents: each row twice, of the columns every second.
  const data = Uint8Array.from({ length: 24 }, (_, p) => (p === 8 + 4 ? 255 : 0))
  const made = [...latentMask({ width: 8, height: 3, data }, [6, 4], 1)]
  assert.equal(
    made.flatMap((value, k) => (value === 1 ? [[Math.floor(k / 4), k % 4]] : [])),
    [
      [2, 2],
      [3, 2],
    ],
  )
})

test('a colour is as white as its grey in PIL, ITU-R 601-2: 0.299 of red, 0.587 of green, 0.114 of blue; opacity says nothing', () => {
  const colours: [red: number, green: number, blue: number, isWhite: number][] = [
    [255, 0, 0, 0],
    [0, 255, 0, 1],
    [0, 0, 255, 0],
    [255, 0, 255, 0],
    [0, 217, 0, 0],
    [0, 218, 0, 1],
    [255, 86, 0, 0],
    [255, 88, 0, 1],
    [0, 166, 255, 0],
    [0, 168, 255, 1],
    [127, 127, 127, 0],
    [128, 128, 128, 1],
  ]
  for (const opacity of [[], [0], [255]]) {
    const data = Uint8Array.from(colours.flatMap(([red, green, blue]) => [red, green, blue, ...opacity]))
    assert.equal(
      [...latentMask({ width: 4, height: 3, data }, [3, 4], 1)],
      colours.map(([, , , isWhite]) => isWhite),
    )
  }
})

test('what a run cannot start from is refused by name, when it is planned as when it is made', async () => {
  const init = picture(3, (p) => grey[p])
  const { latents } = await generate({ init })
  const at = (k: number, value: number) => ({ latents: latents.map((each, i) => (i === k ? value : each)) })
  for (const [argument, options] of [
    ['init', { init, width: 8 }],
    ['init', { init, height: 8 }],
    ['init.latents', { width, height, init: { latents: latents.subarray(1) } }],
    ['init.latents', { width, height, init: at(0, NaN) }],
    ['init.latents', { width, height, init: at(latents.length - 1, -Infinity), strength: 0.5 }],
    ['width', { width: null as never, height }],
    ['height', { init, height: null as never }],
  ] as const) {
    const call = { prompt: 'a cat', steps: 5, seed: 3, ...options }
    for (const work of [() => pipeline.memory(call), () => pipeline.generate(call)]) {
      const error = await failure(work())
      assert.equal([error.code, error.argument], ['INVALID_ARGUMENT', argument], error.message)
    }
  }
})

test('a run that is planned has starts of its sizes, for which nothing is allocated', () => {
  const before = process.memoryUsage().arrayBuffers
  const request = { prompts: ['a', 'b'], seed: 0, steps: 5, guidance: 1, scheduler: 'euler', mask: picture(1, () => 0) }
  const { latents, kept } = noStart(request, 2 ** 28)
  for (const arrays of [latents, kept!])
    assert.equal(
      arrays.map(({ length }) => length),
      [2 ** 28, 2 ** 28],
    )
  assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 20)
})

test('what a mask keeps ends without noise, also where the levels do not end at 0', async () => {
  const text = readFileSync(join(folder, 'scheduler/scheduler_config.json'), 'utf8')
  const own = JSON.parse(text) as object
  const init = picture(3, (p, c) => (grey[p] + 40 * c) % 256)
  const mask = picture(1, () => 0)
  for (const final_sigmas_type of ['zero', 'sigma_min']) {
    const scheduler = { ...own, _class_name: 'DPMSolverMultistepScheduler', final_sigmas_type }
    const { images } = await generate({ init, mask, scheduler })
    images[0].data.forEach((value, k) => assert.ok(Math.abs(value - init.data[k]) <= 1, `${final_sigmas_type}, ${k}: ${value}`))
  }
})

test.run()
