import { execFileSync } from 'node:child_process'
import { closeSync, cpSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { field, functionOf, initializer, inner, integer, model, node, shape, tensor, value } from './onnx.ts'

// Folders that mean harm. Each starts as a sound one (test/fixtures/layouts/optimum) and differs in one thing.

const SOUND = join(__dirname, '..', 'fixtures', 'layouts', 'optimum')

type Edit = (folder: string) => void
export interface Hostile {
  readonly edit: Edit
  /** What loading it ends with. */
  readonly code: string
  readonly stage?: string
}

/** Inputs and output of a UNet as the folder's own. */
const SIDES = [
  value(11, 'sample', [-1, 4, -1, -1]),
  value(11, 'timestep', [-1]),
  value(11, 'encoder_hidden_states', [-1, 8, 4]),
  value(12, 'out_sample', [-1, 4, -1, -1]),
]
const whole = Buffer.concat([integer(3, 0), integer(20, 2)])
const mean = (of: string): Buffer =>
  node('ReduceMean', { inputs: [of], outputs: ['mean'], attributes: [Buffer.concat([field(1, 'keepdims'), whole])] })
const sum = node('Add', { inputs: ['sample', 'mean'], outputs: ['out_sample'] })
/** A network that adds the mean of "large" to its sample. */
const around = (...nodes: Buffer[]): Buffer => model([...SIDES, ...nodes, mean('large'), sum])

const file =
  (path: string, content: string | Uint8Array): Edit =>
  (folder) =>
    writeFileSync(join(folder, path), content)
const unet = (bytes: Uint8Array, code: string): Hostile => ({ edit: file('unet/model.onnx', bytes), code, stage: 'unet' })
const config =
  (path: string, settings: object): Edit =>
  (folder) =>
    writeFileSync(join(folder, path), JSON.stringify({ ...JSON.parse(readFileSync(join(folder, path), 'utf8')), ...settings }))
const instead =
  (path: string, make: (path: string) => void): Edit =>
  (folder) => {
    rmSync(join(folder, path), { force: true, recursive: true })
    make(join(folder, path))
  }
const pipe = (path: string): void => void execFileSync('mkfifo', [path])
const holes =
  (bytes: number) =>
  (path: string): void => {
    const opened = openSync(path, 'w')
    ftruncateSync(opened, bytes)
    closeSync(opened)
  }
const calls = (name: string, number?: number): Buffer => node(name, { domain: 'my.ops', inputs: ['x'], outputs: ['y'] }, number)
const shapes = (dims: number[]): Buffer => initializer(shape('dims', dims))
const made = (type: string): Buffer => node(type, { inputs: ['dims'], outputs: ['large'] })
/** An input of strings. */
const textual = (name: string): Buffer => field(11, Buffer.concat([field(1, name), field(2, field(1, integer(1, 8)))]))
const doubled = Array.from({ length: 40 }, (_, k) => {
  const next = k < 39 ? calls(`F${k + 1}`, 7) : node('Sin', { inputs: ['x'], outputs: ['y'] }, 7)
  return functionOf(`F${k}`, 'my.ops', [next, next])
})
/** A MiB of zeros, joined to itself until it would be 4 GiB. */
const joined = [
  initializer(tensor('j0', [2 ** 18], field(9, Buffer.alloc(2 ** 20)))),
  ...Array.from({ length: 12 }, (_, k) => {
    const axis = Buffer.concat([field(1, 'axis'), whole])
    return node('Concat', { inputs: [`j${k}`, `j${k}`], outputs: [k < 11 ? `j${k + 1}` : 'large'], attributes: [axis] })
  }),
]
const stage = { kind: 'dense', sha256: '0'.repeat(64), flops: { fixed: 0, per_token: 0, per_token_pair: 0 } }
const plan = (...stages: object[]): Edit =>
  file(
    'unet/plan.json',
    JSON.stringify({
      schema: 'sada-plan/2',
      parameterisation: 'native',
      sample: 's',
      time: 't',
      output: 'o',
      conditioning: [],
      controls: [],
      tokens: { grid: null, patch: [1, 1] },
      tensors: Object.fromEntries(['s', 't', 'o', 'm'].map((name) => [name, ['rows']])),
      stages: stages.map((each) => ({ ...stage, ...each })),
    }),
  )

export const HOSTILE: Readonly<Record<string, Hostile>> = {
  'a shape that stands in the file': unet(around(shapes([2 ** 15, 2 ** 15]), made('ConstantOfShape')), 'RESOURCE_LIMIT'),
  'a sparse tensor of 16 GiB': unet(
    model([...SIDES, field(15, Buffer.concat([field(1, tensor('w', [1])), integer(3, 2 ** 32)]))]),
    'RESOURCE_LIMIT',
  ),
  'a negative size': unet(around(initializer(tensor('large', [-1]))), 'SHAPE_INVALID'),
  'sizes whose product overflows': unet(around(initializer(tensor('large', [2 ** 32, 2 ** 32, 2]))), 'SHAPE_INVALID'),
  'sizes without data': unet(around(initializer(tensor('large', [2 ** 30]))), 'MODEL_CORRUPT'),
  'a function that calls itself': unet(
    model([...SIDES, calls('F')], functionOf('F', 'my.ops', [calls('F', 7)])),
    'MODEL_CORRUPT',
  ),
  'functions that write out to 2⁴⁰ nodes': unet(model([...SIDES, calls('F0')], ...doubled), 'MODEL_TOO_LARGE'),
  'a node that reads what it makes': unet(
    around(node('Add', { inputs: ['sample', 'large'], outputs: ['large'] })),
    'MODEL_CORRUPT',
  ),
  'graphs 50 deep': unet(
    Array.from({ length: 50 }).reduce<Buffer>((graph) => node('If', { attributes: [inner('then_branch', graph)] }), node('Sin')),
    'MODEL_CORRUPT',
  ),
  'a million nodes of two bytes': unet(model([...SIDES, Buffer.alloc(2 ** 21, Buffer.from([0x0a, 0]))]), 'MODEL_TOO_LARGE'),
  'times of text': unet(
    model([
      ...SIDES.slice(0, 1),
      textual('timestep'),
      ...SIDES.slice(2),
      node('Sin', { inputs: ['sample'], outputs: ['out_sample'] }),
    ]),
    'IO_MISMATCH',
  ),
  'a sample of two dimensions': unet(
    model([
      value(11, 'sample', [-1, 4]),
      ...SIDES.slice(1, 3),
      value(12, 'out_sample', [-1, 4]),
      node('Sin', { inputs: ['sample'], outputs: ['out_sample'] }),
    ]),
    'IO_MISMATCH',
  ),
  'a compiled engine': unet(around(node('EPContext', { domain: 'com.microsoft', outputs: ['large'] })), 'UNTRUSTED_CODE'),
  'operators of a stranger': unet(around(node('Run', { domain: 'evil', outputs: ['large'] })), 'UNTRUSTED_CODE'),
  'weights in a branch, in another file': unet(
    around(
      node('If', {
        inputs: ['sample'],
        outputs: ['large'],
        attributes: [
          inner('then_branch', initializer(tensor('w', [1], field(13, Buffer.concat([field(1, 'location'), field(2, 'x')]))))),
        ],
      }),
    ),
    'UNSUPPORTED',
  ),
  'a library beside the network': { edit: file('unet/ops.so', ''), code: 'UNTRUSTED_CODE', stage: 'unet' },
  'a pipe for a model': { edit: instead('unet/model.onnx', pipe), code: 'PATH_UNSAFE', stage: 'unet' },
  'a pipe for a configuration': { edit: instead('unet/config.json', pipe), code: 'PATH_UNSAFE', stage: 'unet' },
  'a pipe for a plan': { edit: instead('plan.json', pipe), code: 'PATH_UNSAFE' },
  'a device for a model': {
    edit: instead('unet/model.onnx', (path) => symlinkSync('/dev/zero', path)),
    code: 'PATH_UNSAFE',
    stage: 'unet',
  },
  'a link out, for a plan': { edit: instead('plan.json', (path) => symlinkSync('/etc/passwd', path)), code: 'PATH_UNSAFE' },
  'a link to itself': {
    edit: instead('unet/model.onnx', (path) => symlinkSync('model.onnx', path)),
    code: 'PATH_UNSAFE',
    stage: 'unet',
  },
  'a folder for a model': { edit: instead('unet/model.onnx', (path) => mkdirSync(path)), code: 'PATH_UNSAFE', stage: 'unet' },
  'a model of 3 GiB of holes': { edit: instead('unet/model.onnx', holes(3 * 2 ** 30)), code: 'MODEL_TOO_LARGE', stage: 'unet' },
  'a plan of 8 GiB of holes': { edit: instead('plan.json', holes(2 ** 33)), code: 'MODEL_TOO_LARGE' },
  'a plan that leads out': { edit: plan({ name: 'a', file: '../x.onnx', inputs: [], outputs: ['o'] }), code: 'MANIFEST_INVALID' },
  'a plan whose stages wait for each other': {
    edit: plan(
      { name: 'a', file: 'a.onnx', inputs: ['m'], outputs: ['o'] },
      { name: 'b', file: 'b.onnx', inputs: ['o'], outputs: ['m'] },
    ),
    code: 'MANIFEST_INVALID',
  },
  'a plan whose file is missing': {
    edit: plan({ name: 'a', file: 'a.onnx', inputs: ['s', 't'], outputs: ['o'] }),
    code: 'MODEL_NOT_FOUND',
  },
  'a plan of a newer kind': { edit: file('unet/plan.json', '{"schema":"sada-plan/9"}'), code: 'MANIFEST_INVALID' },
  'lists a million deep': { edit: file('unet/config.json', '['.repeat(1e6)), code: 'MANIFEST_INVALID' },
  'a class with a name of a megabyte': {
    edit: config('model_index.json', { _class_name: 'x'.repeat(1e6) }),
    code: 'UNSUPPORTED',
  },
  'pictures of 10⁹ pixels': { edit: config('unet/config.json', { sample_size: 1e9 }), code: 'MANIFEST_INVALID', stage: 'unet' },
  'latents divided by nothing': {
    edit: config('vae_decoder/config.json', { scaling_factor: 0 }),
    code: 'MANIFEST_INVALID',
    stage: 'vae_decoder',
  },
  'sixty halvings': {
    edit: config('vae_decoder/config.json', { block_out_channels: Array<number>(60).fill(1) }),
    code: 'MANIFEST_INVALID',
    stage: 'vae_decoder',
  },
  'a million merges': { edit: file('tokenizer/merges.txt', 'a b\n'.repeat(1e6)), code: 'TOKENIZER_INVALID' },
  'ids that are no numbers': {
    edit: file('tokenizer/vocab.json', '{"__proto__": 5, "a": 1e300, "b": -1}'),
    code: 'TOKENIZER_INVALID',
  },
}

/** Bombs that a shape in the file does not give away: they load, or not, in bounded memory. */
export const BOMBS: Readonly<Record<string, Edit>> = {
  'joined to 4 GiB': file('unet/model.onnx', around(...joined)),
  'a computed shape of 4 GiB': file(
    'unet/model.onnx',
    around(
      shapes([2 ** 15]),
      node('Mul', { inputs: ['dims', 'dims'], outputs: ['squared'] }),
      node('ConstantOfShape', { inputs: ['squared'], outputs: ['large'] }),
    ),
  ),
  'an outer sum of 16 GiB': file(
    'unet/model.onnx',
    around(
      initializer(tensor('a', [2 ** 16, 1], field(9, Buffer.alloc(2 ** 18)))),
      initializer(tensor('b', [1, 2 ** 16], field(9, Buffer.alloc(2 ** 18)))),
      node('Add', { inputs: ['a', 'b'], outputs: ['large'] }),
    ),
  ),
}

/** Writes the folder. */
export function writeHostile(folder: string, edit: Edit): void {
  cpSync(SOUND, folder, { recursive: true })
  edit(folder)
}
export const writeSound = (folder: string): void => cpSync(SOUND, folder, { recursive: true })
