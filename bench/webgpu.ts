/**
 * Networks through WebGPU beside the CPU's: the largest difference of the latents, and of the pictures (8-bit levels) or sounds (of ±1), from the same noise.
 *
 *   npx tsx bench/webgpu.ts --gpu NAME [--model avatar,test/fixtures/families/sd2,…] [--steps 2] [--side 64] [--seconds 0.64] [--json FILE]
 *
 * NAME is for the record. On a program that is a GPU for Vulkan (scripts/fetch-swiftshader.mjs) with, before it,
 *
 *   LD_LIBRARY_PATH=$PWD/build/swiftshader VK_ICD_FILENAMES=$PWD/build/swiftshader/vk_swiftshader_icd.json XDG_RUNTIME_DIR=/tmp
 */
import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine, describeVersions } from '../ts/bench/machine.ts'
import { load, type GenerateOptions, type GenerateResult, type Pipeline } from '../ts/index.ts'

const families = ['sd2', 'sd2-controlnet', 'sdxl', 'sd3', 'pixart', 'pixart-sigma', 'flux', 'musicldm']
const { values } = parseArgs({
  options: {
    gpu: { type: 'string' },
    model: { type: 'string', default: ['avatar', ...families.map((name) => `test/fixtures/families/${name}`)].join() },
    steps: { type: 'string', default: '2' },
    side: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '0.64' },
    json: { type: 'string' },
  },
})

async function main(): Promise<void> {
  if (values.gpu === undefined) throw new Error('--gpu NAME says what the results are of.')
  const rows = []
  for (const model of values.model.split(',')) {
    const cpu = await generated(model, 'onnxruntime')
    const gpu = await generated(model, 'webgpu')
    rows.push({
      model: basename(model),
      options: cpu.options,
      latents: { largest: largest(cpu.result.latents), difference: difference(cpu.result.latents, gpu.result.latents) },
      ...outputs(cpu.result, gpu.result),
    })
    console.log(JSON.stringify(rows.at(-1)))
  }
  const report = { gpu: values.gpu, machine: describeMachine(), versions: describeVersions(), rows }
  if (values.json) writeFileSync(values.json, JSON.stringify(report, undefined, 1) + '\n')
}

async function generated(model: string, engine: 'onnxruntime' | 'webgpu') {
  const pipeline = await load(model, { engine })
  try {
    const options = optionsFor(pipeline)
    const control = pipeline.takes.includes('control') ? { control: { image: pattern(Number(values.side)) } } : {}
    return { options, result: await pipeline.generate({ ...options, ...control }) }
  } finally {
    await pipeline.dispose()
  }
}

function optionsFor({ takes }: Pipeline): GenerateOptions {
  const side = Number(values.side)
  return {
    prompt: 'a red door',
    seed: 3,
    steps: Number(values.steps),
    policy: 'none',
    ...(takes.includes('width') ? { width: side, height: side } : {}),
    ...(takes.includes('seconds') ? { seconds: Number(values.seconds) } : {}),
  }
}

/** A picture that is another at every pixel. */
function pattern(side: number) {
  return { width: side, height: side, data: Uint8Array.from({ length: 3 * side * side }, (_, k) => (k * 37) % 256) }
}

function outputs(cpu: GenerateResult, gpu: GenerateResult) {
  if (cpu.audio.length > 0) return { samples: difference(cpu.audio[0].samples, gpu.audio[0].samples) }
  return { pixels: difference(cpu.images[0].data, gpu.images[0].data) }
}

const largest = (all: ArrayLike<number>): number => Array.from(all).reduce((most, value) => Math.max(most, Math.abs(value)), 0)
const difference = (a: ArrayLike<number>, b: ArrayLike<number>): number => largest(Array.from(a, (value, k) => value - b[k]))

void main()
