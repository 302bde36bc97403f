import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Offer } from '../../ts/families/family.ts'
import type { SadaError } from '../../ts/index.ts'
import { checkGenerateOptions } from '../../ts/pipeline/options.ts'

// What a call is given, before there is a run: a model that takes everything.

const PAIR = {
  fits: [
    [0, 0],
    [7, 9],
    [2 ** 24, 2 ** 24],
  ],
  refused: [[1], [1, 2, 3], [2 ** 24 + 1, 1], [1, 1e300], [-1, 2], [2, -1], [1, 2.5], ['1', 2], 7, null],
}

const RANGES = {
  steps: { fits: [1, 1000], refused: [0, 1001, 1.5, '2', null] },
  guidanceScale: { fits: [0, 0.5, 100], refused: [-0.1, 100.1, NaN, '2', null] },
  preview: { fits: [1, 1000], refused: [0, 1001, 1.5, '2', true] },
  strength: { fits: [0, 0.5, 1], refused: [-0.1, 1.1, NaN, '1', null] },
  guidanceRescale: { fits: [0, 0.5, 1], refused: [-0.1, 1.1, NaN, '1', null] },
  denoisingStart: { fits: [0, 0.5, 1], refused: [-0.1, 1.1, NaN, '1', null] },
  denoisingEnd: { fits: [0, 0.5, 1], refused: [-0.1, 1.1, NaN, '1', null] },
  trueGuidanceScale: { fits: [1, 1.5, 100], refused: [0.9, 100.1, NaN, '2', null] },
  maxSequenceLength: { fits: [4, 512], refused: [3, 513, 16.5, '16', null] },
  tileSize: { fits: [0, 8192], refused: [-1, 8193, 8.5, '8', null] },
  seconds: { fits: [0.001, 600], refused: [0, 600.1, NaN, '2', null] },
  originalSize: PAIR,
  targetSize: PAIR,
  cropTopLeft: PAIR,
  negativeOriginalSize: PAIR,
  negativeTargetSize: PAIR,
  negativeCropTopLeft: PAIR,
  prompt: { fits: ['', [''], Array(64).fill('a')], refused: [[], Array(65).fill('a'), ['a', 7], { length: 1 }, null] },
} as const

const offer: Offer = {
  defaults: { scheduler: 'euler', steps: 30, guidance: 7.5 },
  schedulers: ['euler', 'dpm++'],
  takes: Object.keys(RANGES).filter((name) => !['steps', 'guidanceScale', 'preview', 'prompt'].includes(name)) as Offer['takes'],
}
const check = (options: object) => checkGenerateOptions({ prompt: 'a', ...options }, offer)
const refusal = (options: object): SadaError => {
  try {
    check(options)
  } catch (error) {
    return error as SadaError
  }
  throw new Error(`${JSON.stringify(options)} is not refused`)
}

test('of several prompts the one that is none is named', () => {
  assert.match(refusal({ prompt: ['a', 5] }).message, /to be .* strings, received an array with 5 at index 1\.$/)
})

test('options reach to the ends of their ranges and no further', () => {
  for (const [name, { fits, refused }] of Object.entries(RANGES)) {
    for (const value of fits) check({ [name]: value })
    for (const value of refused) {
      const { code, argument } = refusal({ [name]: value })
      assert.equal([code, argument], ['INVALID_ARGUMENT', name], `${name}: ${JSON.stringify(value)}`)
    }
  }
})

test("what is left out is the model's own, and what is given is handed on", () => {
  const own = { prompts: ['a'], seed: 0, steps: 30, guidance: 7.5, scheduler: 'euler' }
  assert.equal(check({}).request, own)
  const { request, audit } = check({
    prompt: ['b', 'c'],
    seed: [5n, 6],
    steps: 4,
    guidanceScale: 0,
    scheduler: 'dpm++',
    audit: 0.5,
    strength: 0,
    tileSize: 0,
  })
  assert.equal(request, {
    prompts: ['b', 'c'],
    seed: [5n, 6],
    steps: 4,
    guidance: 0,
    scheduler: 'dpm++',
    strength: 0,
    tileSize: 0,
  })
  assert.is(audit, 0.5)
})

test('a seed for each prompt, no fewer and no more', () => {
  for (const seed of [[], [1], [1, 2, 3]]) assert.is(refusal({ prompt: ['a', 'b'], seed }).argument, 'seed')
  for (const seed of [[], [1, 2]]) assert.is(refusal({ prompt: ['a'], seed }).argument, 'seed')
  assert.match(refusal({ prompt: ['a'], seed: [1, 2] }).message, /a string, not an array, makes a picture for each seed/)
  check({ prompt: ['a', 'b'], seed: [1, 2] })
})

test('one prompt with seeds is that prompt for each of them, 64 at most', () => {
  for (const count of [1, 2, 64]) {
    const seed = Array.from({ length: count }, (_, k) => k)
    const { request } = check({ prompt: 'a', seed })
    assert.equal([request.prompts, request.seed], [Array(count).fill('a'), seed])
  }
  for (const count of [0, 65]) {
    const { code, argument, message } = refusal({ prompt: 'a', seed: Array(count).fill(1) })
    assert.equal([code, argument], ['INVALID_ARGUMENT', 'seed'])
    assert.match(message, `an array of 1 to 64 (each makes a picture of the prompt), received an array of length ${count}.`)
  }
})

test('a scheduler is a name, a configuration, or its text after any blanks', () => {
  const text = '\n {"_class_name": "EulerDiscreteScheduler"}'
  const parsed: unknown = JSON.parse(text)
  for (const scheduler of [text, parsed]) assert.equal(check({ scheduler }).request.scheduler, parsed)
  for (const scheduler of ['flow-euler', '']) assert.is(refusal({ scheduler }).code, 'UNKNOWN_NAME', scheduler)
  for (const [scheduler, received] of [
    [null, 'null'],
    [7, '7'],
    [['euler'], 'an array of length 1'],
    [Buffer.from(text), "bytes; read the file with 'utf8'"],
  ] as const) {
    const { code, argument, message } = refusal({ scheduler })
    assert.equal([code, argument], ['INVALID_ARGUMENT', 'scheduler'])
    assert.is(
      message,
      `Expected "scheduler" to be one of euler, dpm++, or a diffusers scheduler configuration (the object, or the file's text), received ${received}.`,
    )
  }
  assert.is(check({ scheduler: undefined }).request.scheduler, 'euler')
})

test('schedulers by the names that others have for them', () => {
  const schedulers = ['dpm++', 'dpm++-sde', 'euler', 'euler-ancestral']
  const said = (scheduler: string, offered = schedulers): string => {
    try {
      checkGenerateOptions({ prompt: 'a', scheduler }, { ...offer, schedulers: offered })
    } catch (error) {
      const { code, argument, message } = error as SadaError
      assert.equal([code, argument], ['UNKNOWN_NAME', 'scheduler'])
      assert.match(message, `Known: ${offered.join(', ')}.`)
      return message
    }
    throw new Error(`${scheduler} is taken`)
  }
  for (const [meant, names] of Object.entries({
    'euler-ancestral': ['euler_a', 'Euler a', 'EulerAncestralDiscreteScheduler', 'euler_ancestral', 'k_euler_a'],
    euler: ['EulerDiscreteScheduler', 'k_euler', 'Euler', 'eular'],
    'dpm++': ['dpmpp_2m', 'dpm++2m', 'DPM++ 2M Karras', 'dpmpp', 'DPMSolverMultistepScheduler', 'dpm+'],
    'dpm++-sde': ['dpmpp_sde', 'dpmpp_2m_sde', 'DPM++ 2M SDE', 'sde-dpmsolver++'],
  }))
    for (const name of names) assert.match(said(name), `Unknown scheduler ${JSON.stringify(name)}. Did you mean "${meant}"?`)
  for (const name of [
    'ddim',
    'DDIMScheduler',
    'pndm',
    'PNDMScheduler',
    'unipc',
    'UniPCMultistepScheduler',
    'heun',
    'LMSDiscreteScheduler',
    'DPM++ SDE Karras',
    'DPMSolverSDEScheduler',
  ])
    assert.match(said(name), `The scheduler ${JSON.stringify(name)} is not supported.`)
  assert.match(said('euler', ['flow-euler']), 'This model does not offer the scheduler "euler". ')
  assert.match(
    said('euler_a', ['flow-euler']),
    'This model does not offer the scheduler "euler-ancestral", which "euler_a" is here. ',
  )
  assert.match(said('FlowMatchEulerDiscreteScheduler', ['flow-euler']), 'Did you mean "flow-euler"?')
  assert.match(said('scheduler/scheduler_config.json'), /That is a path: give what the file holds/)
  assert.ok(said('x'.repeat(1e6)).length < 500)
})

test('options by the names that other programs have for them', () => {
  const takes = [...offer.takes, 'negativePrompt', 'secondPrompt', 'init', 'mask', 'control', 'width'] as Offer['takes']
  const said = (name: string, offered: Offer['takes']): string => {
    try {
      checkGenerateOptions({ prompt: 'a', [name]: 1 }, { ...offer, takes: offered })
    } catch (error) {
      const { code, argument, message } = error as SadaError
      assert.equal([code, argument], ['UNKNOWN_NAME', name])
      return message
    }
    throw new Error(`${name} is taken`)
  }
  for (const [meant, names] of Object.entries({
    negativePrompt: ['negative_prompt', 'negativeprompt', 'negative-prompt', 'NegativePrompt'],
    steps: ['num_inference_steps', 'numInferenceSteps'],
    guidanceScale: ['guidance_scale', 'cfg', 'cfg_scale', 'cfgScale', 'guidance'],
    signal: ['abortSignal', 'abort_signal'],
    onStep: ['on_step', 'callback_on_step_end'],
    init: ['image', 'init_image'],
    seed: ['generator', 'n', 'num_images_per_prompt', 'numImagesPerPrompt', 'batch_size'],
    trueGuidanceScale: ['true_cfg_scale'],
  }))
    for (const name of names) assert.match(said(name, takes), `Unknown option "${name}". Did you mean "${meant}"?`)
  assert.match(
    said('num_images_per_prompt', []),
    'Did you mean "seed"? A list of seeds makes a picture of a prompt for each. Known: prompt, ',
  )
  assert.not.match(said('generator', []), 'A list of seeds')
  for (const [name, meant] of [
    ['negative_prompt', 'negativePrompt'],
    ['image', 'init'],
    ['Width', 'width'],
  ]) {
    const message = said(name, [])
    assert.ok(
      message.startsWith(
        `Unknown option "${name}". "${meant}" is an option of other models; this one does not take it. Known: prompt, `,
      ),
      message,
    )
  }
  for (const name of ['constructor', '__proto', 'x'.repeat(1e6)]) assert.not.match(said(name, []), 'Did you mean')
})

test('what a model does not take is refused with what it takes', () => {
  const takingNothing = () => checkGenerateOptions({ prompt: 'a', strength: 1 }, { ...offer, takes: [] })
  assert.throws(takingNothing, (error: SadaError) => error.argument === 'strength' && !error.message.includes('It takes'))
  const { code, argument, message } = refusal({ negativePrompt: 'b' })
  assert.equal([code, argument], ['INVALID_ARGUMENT', 'negativePrompt'])
  assert.match(message, /It takes "strength", "guidanceRescale", /)
})

test.run()
