import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type SadaError } from '../../ts/index.ts'
import { familyFolder } from '../support/families.ts'
import { initializer, model, node, shape, value } from '../support/onnx.ts'

// Models whose inputs or outputs have another number of dimensions, or other channels, than their family's: refused at load.

const scratch = mkdtempSync(join(tmpdir(), 'sada-shapes-'))
test.after(() => rmSync(scratch, { recursive: true }))

type Dims = readonly number[]
interface Network {
  readonly inputs: Readonly<Record<string, Dims>>
  /** What the first input becomes. */
  readonly output: readonly [name: string, dims: Dims]
}

const network = ({ inputs, output: [name, dims] }: Network): Buffer =>
  model([
    initializer(
      shape(
        'dims',
        dims.map((n) => (n < 0 ? 1 : n)),
      ),
    ),
    node('Reshape', { inputs: [Object.keys(inputs)[0], 'dims'], outputs: [name] }),
    ...Object.entries(inputs).map(([input, sizes]) => value(11, input, sizes)),
    value(12, name, dims),
  ])

async function refusal(family: string, part: string, change: (folder: string) => void): Promise<SadaError> {
  const folder = join(scratch, 'copy')
  cpSync(familyFolder(family), folder, { recursive: true })
  change(join(folder, part))
  const error: unknown = await load(folder, { threads: 1, stages: false }).then(
    (pipeline) => pipeline.dispose(),
    (e: unknown) => e,
  )
  rmSync(folder, { recursive: true })
  return error as SadaError
}

const [map, noise] = [
  [-1, 4, -1, -1],
  [-1, 16, -1, -1],
]
const unet = { timestep: [1], encoder_hidden_states: [-1, -1, 32] }
const transformer = { timestep: [-1], encoder_hidden_states: [-1, -1, 64], pooled_projections: [-1, 56] }

const REFUSALS: [family: string, part: string, Network, RegExp][] = [
  ['sd2', 'unet', { inputs: { sample: [-1, 4, -1], ...unet }, output: ['out_sample', map] }, /"sample" to have 4 dimensions/],
  ['sd2', 'unet', { inputs: { sample: map, ...unet }, output: ['out_sample', [-1, 4, -1]] }, /"out_sample" to have 4 dimensions/],
  [
    'sd2',
    'unet',
    { inputs: { sample: [-1, 5, -1, -1], ...unet }, output: ['out_sample', map] },
    /"sample" to have size 4 along axis 1 \(the channels of the autoencoder\)/,
  ],
  [
    'sd2',
    'vae_decoder',
    { inputs: { latent_sample: [-1, 4, -1] }, output: ['sample', [-1, 3, -1, -1]] },
    /"latent_sample" to have 4/,
  ],
  ['sd2', 'vae_decoder', { inputs: { latent_sample: map }, output: ['sample', [-1, 3, -1]] }, /"sample" to have 4 dimensions/],
  ['sd2', 'vae_decoder', { inputs: { latent_sample: map }, output: ['sample', map] }, /"sample" to have size 3 along axis 1/],
  ['sd2', 'vae_encoder', { inputs: { sample: map, latent: map }, output: ['latent_sample', map] }, /no input but sample/],
  [
    'sd3',
    'transformer',
    { inputs: { hidden_states: [-1, 16, -1], ...transformer }, output: ['out_hidden_states', noise] },
    /"hidden_states" to have 4 dimensions/,
  ],
  [
    'sd3',
    'transformer',
    { inputs: { hidden_states: noise, ...transformer }, output: ['out_hidden_states', [-1, 16, -1]] },
    /"out_hidden_states" to have 4 dimensions/,
  ],
  [
    'sd3',
    'transformer',
    { inputs: { hidden_states: map, ...transformer }, output: ['out_hidden_states', noise] },
    /"hidden_states" to have size 16 along axis 1/,
  ],
  [
    'sd3',
    'transformer',
    { inputs: { hidden_states: noise, ...transformer }, output: ['out_hidden_states', map] },
    /"out_hidden_states" to have size 16 along axis 1/,
  ],
]
for (const [family, part, graph, said] of REFUSALS) {
  test(`${family}, ${part}: ${said}`, async () => {
    const error = await refusal(family, part, (folder) => writeFileSync(join(folder, 'model.onnx'), network(graph)))
    assert.is(error?.code, 'IO_MISMATCH', error?.message)
    assert.match(error.message, said)
    assert.ok(error.message.includes(join(part, 'model.onnx')), error.message)
  })
}

/** A ControlNet that gives its sample, so many times. */
const controlNet = (outputs: number): Buffer => {
  const names = Array.from({ length: outputs }, (_, k) => `residual_${k}`)
  return model([
    ...names.map((each) => node('Identity', { inputs: ['sample'], outputs: [each] })),
    ...Object.entries({ sample: map, ...unet, controlnet_cond: [-1, 3, -1, -1] }).map(([name, dims]) => value(11, name, dims)),
    ...names.map((each) => value(12, each, map)),
  ])
}

test('a ControlNet that gives more or less than the UNet takes, or other channels, or to one that takes nothing', async () => {
  for (const [outputs, said] of [
    [4, /controlnet.*expected 5 outputs, one for each of the UNet's inputs/],
    [6, /controlnet.*expected 5 outputs, one for each of the UNet's inputs/],
    [5, /unet.*"down_block_additional_residual_0" to have size 4 along axis 1 \(the controlnet\)/],
  ] as const) {
    const write = (folder: string): void => writeFileSync(join(folder, 'model.onnx'), controlNet(outputs))
    const error = await refusal('sd2-controlnet', 'controlnet', write)
    assert.is(error?.code, 'IO_MISMATCH', `${outputs}: ${error?.message}`)
    assert.match(error.message, said)
  }
  const given = join(familyFolder('sd2-controlnet'), 'controlnet')
  const error = await refusal('sd2', 'controlnet', (folder) => cpSync(given, folder, { recursive: true }))
  assert.is(error?.code, 'IO_MISMATCH', error?.message)
  assert.match(error.message, /unet.*expected inputs down_block_additional_residual_0, … for the ControlNet/)
})

test('a UNet with other inputs for ControlNets than its blocks have', async () => {
  const says = (layers: unknown) => (folder: string) => {
    const path = join(folder, 'config.json')
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), layers_per_block: layers }))
  }
  for (const [layers, code, said] of [
    [3, 'IO_MISMATCH', /expected 9 inputs for ControlNets, as its configuration has blocks/],
    [0, 'MANIFEST_INVALID', /1 to 16 at \/layers_per_block/],
    [17, 'MANIFEST_INVALID', /1 to 16 at \/layers_per_block/],
    [[1], 'MANIFEST_INVALID', /1 to 16 at \/layers_per_block/],
  ] as const) {
    const error = await refusal('sd2-controlnet', 'unet', says(layers))
    assert.is(error?.code, code, `${JSON.stringify(layers)}: ${error?.message}`)
    assert.match(error.message, said)
  }
})

test.run()
