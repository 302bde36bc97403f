import { setTimeout } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { GenerateArguments } from '../../ts/cli/generate.ts'
import type { OutputFile } from '../../ts/cli/output-file.ts'
import { save, type Asked } from '../../ts/cli/save.ts'
import type { GenerateResult } from '../../ts/index.ts'
import { Sound } from '../../ts/pipeline/audio.ts'
import { Picture } from '../../ts/pipeline/image.ts'

// What is written of a result, and what is said of it.

const ARGUMENTS = { model: './m', count: 1, seed: 7, policy: 'none', preview: false, json: false } as const
const PIPELINE = {
  name: 'family',
  defaults: { scheduler: 'euler', guidanceScale: 5 },
  device: { name: 'cpu' },
  versions: { sada: '1.2.3', onnxruntime: '4.5' },
}
const NONE = { images: [], audio: [], unknownWords: [], droppedTokens: [] }
const trace = (...nfe: number[]) => ({
  steps: 50,
  policy: 'sada',
  options: { tolerance: 2 },
  members: nfe.map((n) => ({ nfe: n })),
})
const picture = (): Picture => new Picture(3, 2, new Uint8Array(18))

interface Case {
  readonly prompt?: string
  readonly options?: Partial<GenerateArguments>
  readonly pipeline?: object
  readonly wallMs?: number
  readonly result: object
  readonly toStdout?: boolean
  /** Why stdout takes nothing. */
  readonly full?: Error
}

/** What goes to the file, to stdout and to stderr. */
async function saved({ prompt = 'a cat', options, pipeline, wallMs = 2131.26, result, toStdout = false, full }: Case) {
  const said: { stdout: (string | Uint8Array)[]; stderr: (string | Uint8Array)[] } = { stdout: [], stderr: [] }
  const written: Uint8Array[] = []
  const file = { path: 'x.png', write: (bytes: Uint8Array) => Promise.resolve(void written.push(bytes)) } as unknown as OutputFile
  const writes = (['stdout', 'stderr'] as const).map((name) => {
    const { write } = process[name]
    process[name].write = ((text: string | Uint8Array, done?: (error?: Error) => void) => (
      said[name].push(text),
      done?.(full),
      true
    )) as never
    return () => void (process[name].write = write)
  })
  const asked = { prompt, options: { ...ARGUMENTS, ...options }, pipeline: { ...PIPELINE, ...pipeline }, wallMs }
  try {
    const saving = save(
      toStdout ? undefined : file,
      asked as unknown as Asked,
      { ...NONE, ...result } as unknown as GenerateResult,
    )
    await (full ? Promise.race([saving, setTimeout(50)]) : saving)
  } finally {
    for (const restore of writes) restore()
  }
  return { written, ...said }
}

async function textOf(bytes: Uint8Array): Promise<Record<string, string>> {
  const { decode } = await import('fast-png')
  return decode(bytes).text
}

test('one line says what was saved, in kilobytes and seconds, and of how many steps the network ran', async () => {
  const one = await saved({ result: { images: [picture()], trace: trace(21) } })
  const size = (one.written[0].length / 1000).toFixed(1)
  assert.equal([one.stdout, one.stderr], [[`x.png: 1 picture, 3×2, ${size} kB, 2.13 s, 21 network runs of 50\n`], []])
  // Two pixels lie between the pictures of a sheet, of two columns here.
  const images = [picture(), picture(), picture()]
  const three = await saved({ options: { count: 3 }, result: { images, trace: trace(23, 21, 25) } })
  assert.match(String(three.stdout), /^x\.png: 3 pictures, 8×6, 0\.\d kB, 2\.13 s, 21–25 network runs of 50\n$/)
  const audio = [new Sound(new Float32Array(1234), 1000)]
  const sound = await saved({ wallMs: 996, result: { audio, trace: trace(50) } })
  assert.equal(sound.stdout, ['x.png: 1.23 s of sound, 2.5 kB, 1.00 s, 50 network runs of 50\n'])
  assert.equal(sound.written, [audio[0].wav()])
})

test('JSON has all of it, a seed beyond numbers as text, what was not asked for as it is by default or not at all', async () => {
  const result = { images: [picture(), picture()], trace: { ...trace(21, 25), warnings: ['w'] }, unknownWords: ['zebra'] }
  const given = {
    count: 2,
    seed: 2n ** 60n,
    scheduler: 'dpm++',
    guidance: 0,
    negative: '',
    init: 'i.png',
    strength: 0.5,
    json: true,
  }
  const { written, stdout, stderr } = await saved({ options: given, pipeline: { device: { name: 'cuda' } }, result })
  const common = {
    file: 'x.png',
    prompt: 'a cat',
    model: 'family',
    policy: 'sada',
    options: { tolerance: 2 },
    steps: 50,
    wall_ms: 2131.3,
  }
  assert.equal(JSON.parse(String(stdout)), {
    ...common,
    bytes: written[0].length,
    pictures: 2,
    width: 8,
    height: 2,
    seed: '1152921504606846976',
    scheduler: 'dpm++',
    guidance: 0,
    negative: '',
    init: 'i.png',
    strength: 0.5,
    device: { name: 'cuda' },
    warnings: ['w'],
    network_runs: [21, 25],
    unknown_words: ['zebra'],
  })
  assert.equal(stderr, ['Warning: w\n'])
  const audio = [new Sound(new Float32Array(500), 1000)]
  const plain = await saved({ options: { json: true }, result: { audio, trace: trace(50) } })
  assert.equal(JSON.parse(String(plain.stdout)), {
    ...common,
    bytes: 1044,
    seconds: 0.5,
    seed: 7,
    scheduler: 'euler',
    guidance: 5,
    device: { name: 'cpu' },
    network_runs: [50],
    unknown_words: [],
  })
})

test('without a file the result alone is on stdout, and what is said of it on stderr', async () => {
  for (const json of [false, true]) {
    const result = { images: [picture()], trace: trace(21) }
    const { written, stdout, stderr } = await saved({ toStdout: true, options: { json }, result })
    assert.equal([written.length, stdout.length, stderr.length], [0, 1, 1])
    assert.is((await textOf(stdout[0] as Uint8Array)).Title, 'a cat')
    if (json) assert.is((JSON.parse(String(stderr)) as { file: unknown }).file, null)
    else assert.match(String(stderr), /^stdout: 1 picture/)
  }
})

test('what stdout has not taken is not said to be saved', async () => {
  const result = { audio: [new Sound(new Float32Array(500), 1000)], trace: trace(50) }
  const { stdout, stderr } = await saved({ toStdout: true, result, full: new Error('no space') })
  assert.equal([stdout.length, stderr], [1, []])
})

test('why it ran on the CPU, and how much of the longest prompt was not read, is said before', async () => {
  const result = (droppedTokens: number[]) => ({ images: [picture()], trace: trace(21), droppedTokens })
  const slow = await saved({ pipeline: { device: { name: 'cpu', reason: 'no GPU' } }, result: result([2, 5, 0]) })
  assert.equal(slow.stderr, [
    'On the CPU: no GPU.\n',
    'The model did not read the last 5 tokens of the prompt: it is too long.\n',
  ])
  const others = { pipeline: { device: { name: 'cpu', reason: 'no GPU' } }, options: { engine: 'webgpu' }, result: result([0]) }
  assert.equal((await saved(others)).stderr, ['All but the network on the CPU: no GPU.\n'])
  assert.equal((await saved({ result: result([0]) })).stderr, [])
  assert.is((await saved({ result: result([1]) })).stderr.length, 1)
})

test('a PNG file says what made it: a title in Latin-1, the rest in ASCII', async () => {
  const prompt = 'é\u00a0ÿ\u007f猫猫~'
  const options = { count: 2, negative: 'é\u007f猫', mask: 'm.png', control: ['c.png'], controlEnd: 0.5 }
  const { written } = await saved({ prompt, options, result: { images: [picture(), picture()], trace: trace(21, 21) } })
  const { Title, Software, Seed, Settings, Command } = await textOf(written[0])
  assert.equal([Title, Software, Seed], ['é?ÿ???~', 'sada 1.2.3, onnxruntime 4.5', '7 8'])
  assert.is(
    Settings,
    String.raw`{"model":"family","scheduler":"euler","guidance":5,"negative":"\u00e9\u007f\u732b","mask":"m.png","control":["c.png"],"control_end":0.5,"steps":50,"policy":"sada","options":{"tolerance":2}}`,
  )
  const escaped = String.raw`"\u00e9\u00a0\u00ff\u007f\u732b\u732b~","--model=./m","--count=2","--seed=7"`
  assert.is(
    Command,
    `[${escaped},"--policy=none","--negative=${String.raw`\u00e9\u007f\u732b`}","--mask=m.png","--control=c.png","--control-end=0.5"]`,
  )
})

test.run()
