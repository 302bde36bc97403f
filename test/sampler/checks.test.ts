import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SadaError } from '../../ts/errors.ts'
import { load, sample } from '../../ts/index.ts'
import { familyFolder } from '../support/families.ts'

const options = {
  scheduler: { _class_name: 'EulerDiscreteScheduler' },
  steps: 2,
  shape: [1, 4],
  seed: 1,
  network: ({ sample }: { sample: Float32Array }) => Promise.resolve(sample),
}
const refusal = (call: () => Promise<unknown>): Promise<SadaError> =>
  call().then(
    () => assert.unreachable() as never,
    (error: unknown) => error as SadaError,
  )

test('what is no object of options, no signal or no callback is refused by name, before anything runs', async () => {
  const pipeline = await load('avatar')
  const calls = [
    (given: unknown) => sample(given as never),
    (given: unknown) => pipeline.generate(given as never),
    async (given: unknown) => {
      for await (const event of pipeline.stream(given as never)) assert.unreachable(event.type)
    },
  ]
  for (const call of calls) {
    for (const bad of [undefined, null, 7, 'x']) assert.is((await refusal(() => call(bad))).argument, 'options')
    const whole = { ...options, prompt: 'a robot', shape: call === calls[0] ? options.shape : undefined }
    for (const bad of [7, {}, null]) {
      const error = await refusal(() => call({ ...whole, signal: bad }))
      assert.instance(error, SadaError)
      assert.is(error.argument, 'signal')
      assert.is((await refusal(() => call({ ...whole, onStep: bad }))).argument, 'onStep')
      assert.is((await refusal(() => call({ ...whole, record: bad }))).argument, 'record')
    }
  }
  for (const call of [
    () => sample({ ...options, policy: null as never }),
    () => pipeline.generate({ prompt: 'a robot', policy: null as never }),
  ])
    assert.is((await refusal(call)).argument, 'policy')
  await pipeline.dispose()
  assert.is((await refusal(() => load('avatar', null as never))).argument, 'settings')
})

test('an option that is undefined is one that was left out', async () => {
  const open = <T extends object>(call: T, names: readonly string[]): T => ({
    ...Object.fromEntries(names.map((name) => [name, undefined])),
    ...call,
  })
  const own = ['sigmas', 'mu', 'latents', 'policy', 'layout', 'record', 'audit', 'memory', 'signal', 'onStep']
  const [{ latents: samples }, { latents: opened }] = [await sample(options), await sample(open(options, own))]
  assert.equal(opened, samples)
  const pipeline = await load(
    'avatar',
    open({}, ['threads', 'memoryArena', 'device', 'engine', 'onnxruntime', 'signal', 'onBuild']),
  )
  const call = { prompt: 'a robot', steps: 2 }
  const [{ images }] = [await pipeline.generate(call)]
  const more = ['seed', 'guidanceScale', 'scheduler', 'init', 'mask', 'control', 'preview', 'width', 'height', 'negativePrompt']
  const again = await pipeline.generate(
    open(
      call,
      [...own, ...more].filter((name) => !['sigmas', 'mu', 'layout', 'latents'].includes(name)),
    ),
  )
  assert.equal(again.images[0].data, images[0].data)
  const within = { ...call, policy: { name: 'sada', preset: undefined, tolerance: undefined }, memory: { budget: undefined } }
  assert.equal((await pipeline.generate(within)).images[0].data, images[0].data)
  await pipeline.dispose()
})

test('an option that there is none of is named as it was written, also within another', async () => {
  const pipeline = await load('avatar')
  const led = await load(familyFolder('sd2-controlnet'), { threads: 1 })
  const call = { prompt: 'a robot', steps: 2 }
  const image = { width: 32, height: 32, data: new Uint8Array(1024) }
  const attempts: [call: () => Promise<unknown>, argument: string, said: RegExp][] = [
    [() => sample({ ...options, stpes: 2 } as never), 'stpes', /Unknown option "stpes"\. Did you mean "steps"\?/],
    [() => sample({ ...options, num_inference_steps: 2 } as never), 'num_inference_steps', /Did you mean "steps"\? Known/],
    [() => sample({ ...options, n: 2 } as never), 'n', /Did you mean "shape"\? Known/],
    [() => load('avatar', { memory_arena: true } as never), 'memory_arena', /Did you mean "memoryArena"\?/],
    [() => pipeline.generate({ ...call, guidance: 3 } as never), 'guidance', /Unknown option "guidance"/],
    [() => load('avatar', { thread: 1 } as never), 'thread', /Did you mean "threads"\?/],
    [
      () => pipeline.generate({ ...call, memory: { budgt: 1 } } as never),
      'memory.budgt',
      /^"memory" has no option "budgt"\. Did you mean "budget"\? Known: budget\.$/,
    ],
    [() => sample({ ...options, memory: { budgt: 1 } } as never), 'memory.budgt', /Did you mean "budget"\?/],
    [() => led.generate({ ...call, control: { image, strenght: 1 } } as never), 'control.strenght', /Did you mean "strength"\?/],
    [() => sample({ ...options, policy: { name: 'sada', tolerence: 1 } }), 'policy.tolerence', /Did you mean "tolerance"\?/],
    [
      () => sample({ ...options, policy: { name: 'replay', recordng: 1 } }),
      'policy.recordng',
      /^Policy "replay" has no option "recordng"\. Did you mean "recording"\? Known: recording\.$/,
    ],
    [
      () => sample({ ...options, policy: { name: 'none', warmup: 1 } }),
      'policy.warmup',
      /^Policy "none" has no option "warmup"\. Known: none\.$/,
    ],
  ]
  for (const [attempt, argument, said] of attempts) {
    const error = await refusal(attempt)
    assert.equal([error.code, error.argument], ['UNKNOWN_NAME', argument])
    assert.match(error.message, said)
  }
  const target = await refusal(() => sample({ ...options, policy: { name: 'auto', target: 2 } }))
  assert.equal([target.code, target.argument], ['INVALID_ARGUMENT', 'policy.target'])
  await Promise.all([pipeline.dispose(), led.dispose()])
})

test('a call is what was asked, whatever becomes of its lists and objects afterwards', async () => {
  const pipeline = await load('avatar')
  const call = { prompt: ['a robot'], seed: [1], steps: 3, guidanceScale: 1, onStep: () => {}, policy: { name: 'every-n', n: 2 } }
  const expected = (await pipeline.generate(structuredClone({ ...call, onStep: undefined }))).latents
  const changed = pipeline.generate(call)
  call.prompt[0] = 'a kid'
  call.prompt.push('a toon person')
  call.seed[0] = 5
  call.policy.n = 1
  Object.assign(call, { onStep: 'none', steps: 0, prompt: 7 })
  assert.equal((await changed).latents, expected)
  await pipeline.dispose()
  const own = { ...options, shape: [1, 4], scheduler: { ...options.scheduler, beta_start: 0.001 } }
  const wanted = (await sample(own)).latents
  const running = sample(own)
  own.shape[1] = 2
  own.scheduler.beta_start = 0.01
  assert.equal((await running).latents, wanted)
})

test('a run starts from the latents that it was given, changed or transferred afterwards as they are', async () => {
  const latents = new Float32Array([1, -2, 3, 0.5])
  const call = { ...options, shape: [1, 4], seed: undefined }
  const wanted = (await sample({ ...call, latents: latents.slice() })).latents
  const changed = sample({ ...call, latents })
  latents.fill(7)
  assert.equal((await changed).latents, wanted)
  latents.set([1, -2, 3, 0.5])
  const transferred = sample({ ...call, latents })
  structuredClone(latents, { transfer: [latents.buffer] })
  assert.equal((await transferred).latents, wanted)
  assert.is((await refusal(() => sample({ ...call, latents }))).argument, 'latents')
})

test('only what was given as a text is quoted', async () => {
  const said = async (given: object): Promise<string> => (await refusal(() => sample({ ...options, ...given }))).message
  assert.match(await said({ shape: '1, 4' }), /received "1, 4"\.$/)
  assert.match(await said({ shape: [1] }), /received \[1\]\.$/)
  assert.match(await said({ seed: undefined, latents: undefined }), /received neither\.$/)
  assert.match(await said({ policy: 'auto' }), /received none of them\. It is given as \{ name: "auto", target/)
})

test('an object that holds itself is refused, or passed over, as any other value', async () => {
  const scheduler: Record<string, unknown> = { ...options.scheduler }
  scheduler.itself = scheduler
  const { trace } = await sample({ ...options, scheduler })
  assert.match(trace.warnings!.join(), /"itself" is unknown/)
  const target: Record<string, unknown> = { speedup: 2 }
  target.target = target
  assert.is((await refusal(() => sample({ ...options, policy: { name: 'auto', target } }))).argument, 'policy.target.target')
  const shape: unknown[] = [1]
  shape.push(shape)
  assert.is((await refusal(() => sample({ ...options, shape: shape as number[] }))).argument, 'shape')
})

test('what holds itself in many ways is copied once', async () => {
  const root: { readonly children: object[] } = { children: [] }
  for (let k = 0; k < 100; k++) root.children.push({ parent: root })
  const startedAt = performance.now()
  assert.is((await refusal(() => sample({ ...options, root } as never))).argument, 'root')
  assert.ok(performance.now() - startedAt < 1000)
})

test('what a scheduler makes nothing of is in the trace as well', async () => {
  const scheduler = { ...options.scheduler, beta_schedul: 'linear' }
  const { trace } = await sample({ ...options, scheduler })
  assert.match(trace.warnings!.join(), /beta_schedul/)
})

test('a scheduler that is a name, a path, bytes or nothing is said to be that, and what it should be', async () => {
  const named = (fields: string): string => ` Names are for generate(); here it is { _class_name: ${fields}, … }.`
  const path = " That is a path: give what the file holds, readFileSync(path, 'utf8')."
  for (const [scheduler, received, hint] of [
    ['euler', '"euler"', named("'EulerDiscreteScheduler'")],
    ['dpm++', '"dpm++"', named("'DPMSolverMultistepScheduler'")],
    ['dpm++-sde', '"dpm++-sde"', named("'DPMSolverMultistepScheduler', algorithm_type: 'sde-dpmsolver++'")],
    ['FlowMatchEulerDiscreteScheduler', '"FlowMatchEulerDiscreteScheduler"', named("'FlowMatchEulerDiscreteScheduler'")],
    ['', '""', ''],
    ['[1]', '"[1]"', ''],
    ['eular', '"eular"', named("'DPMSolverMultistepScheduler'")],
    ['scheduler_config.json', '"scheduler_config.json"', path],
    ['./a/b.JSON', '"./a/b.JSON"', path],
    [Buffer.from('{}'), "bytes; read the file with 'utf8'", ''],
    [undefined, 'undefined', ''],
    [null, 'null', ''],
    [5, '5', ''],
    [[{}], 'an array of length 1', ''],
  ] as const) {
    const error = await refusal(() => sample({ ...options, scheduler: scheduler as object }))
    assert.equal([error.code, error.argument], ['INVALID_ARGUMENT', 'scheduler'])
    const expected = `Expected "scheduler" to be a diffusers scheduler configuration (the object, or the file's text)`
    assert.is(error.message, `${expected}, received ${received}.${hint}`)
  }
})

test('an error in JSON has its message', () => {
  const error = new SadaError('INVALID_ARGUMENT', 'Expected.', { argument: 'steps', cause: new Error('inside') })
  const told = { name: 'SadaError', code: 'INVALID_ARGUMENT', message: 'Expected.', argument: 'steps' }
  assert.equal(JSON.parse(JSON.stringify({ error })), { error: told })
})

test('a message is no longer than can be read, whatever it was given', async () => {
  const long = 'x'.repeat(1e6)
  const errors = [
    await refusal(() => sample({ ...options, [long]: 1 })),
    await refusal(() => sample({ ...options, policy: long as 'sada' })),
    await refusal(() => load(long)),
  ]
  for (const { message } of errors) assert.ok(message.length < 2000, `${message.length} characters`)
})

test('a field of __proto__, as JSON can have it, is an option like any other, and none that there is', async () => {
  const pipeline = await load('avatar')
  const hidden = JSON.parse('{"__proto__": {"policy": "none", "record": true}}') as object
  const calls: [argument: string, call: () => Promise<unknown>][] = [
    ['__proto__', () => sample({ ...options, ...hidden })],
    ['__proto__', () => pipeline.generate({ prompt: 'a robot', ...hidden })],
    ['__proto__', () => pipeline.memory({ prompt: 'a robot', ...hidden })],
    ['__proto__', () => pipeline.stream({ prompt: 'a robot', ...hidden }).next()],
    ['policy.__proto__', () => sample({ ...options, policy: { name: 'sada', ...hidden } })],
    ['memory.__proto__', () => sample({ ...options, memory: { ...hidden } })],
    ['__proto__', () => load('avatar', { ...hidden })],
  ]
  for (const [argument, call] of calls) {
    const error = await refusal(call)
    assert.equal([error.code, error.argument], ['UNKNOWN_NAME', argument], error.message)
  }
  await pipeline.dispose()
})

test.run()
