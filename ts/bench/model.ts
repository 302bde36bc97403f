import { sampleOf } from '../metrics/picture.ts'
import { isStaged } from '../pipeline/model-folder.ts'
import type { GenerateResult, Pipeline } from '../pipeline/pipeline.ts'
import { loadManifest } from '../plan/model.ts'
import { Tokenizer } from '../plan/tokenizer.ts'
import type { Manifest } from '../plan/manifest.ts'
import { isStochastic, parseSchedulerConfig, type SolverName } from '../schedule/config.ts'
import type { PictureShape } from './fidelity.ts'
import type { Costs } from './flops.ts'
import { SOUND_NOTE, spectrogramPicture, spectrogramShape } from './sounds.ts'

/** What a bench knows of a model: how its pictures are compared, and what a pass of its network costs. */
export interface BenchModel {
  readonly name: string
  readonly schedulers: readonly string[]
  /** Those of them whose steps add no noise: a run of fewer steps draws other noise and makes another picture, so that there is nothing to compare with. */
  readonly deterministic: readonly string[]
  readonly shape: PictureShape
  /** What stands for a picture, where that is not one. */
  readonly note?: string
  /** The values of black and white in a sample. */
  readonly range: readonly [number, number]
  /** The pictures of a call as samples, [channels, height, width]. */
  readonly samplesOf: (result: GenerateResult) => readonly Float32Array[]
  /** Rows of the network that one picture takes at a guidance scale. */
  readonly rowsAt: (guidance: number) => number
  /** Operations of its stages, and its tokens; only a `plan.json` says. */
  readonly costs?: Costs
  /** Throws PROMPT_TOO_LONG; absent where the model cuts prompts that are too long. */
  readonly checkPrompt?: (prompt: string) => void
  /** Of the files that a `plan.json` names. */
  readonly bytes?: number
}

/** Pixels, or the length of a sound. */
interface AskedSize {
  readonly width?: number
  readonly height?: number
  readonly seconds?: number
}

/**
 * A loaded model; `folder` is where it was loaded from, `asked` the size of what it makes where that is not its own.
 */
export async function benchModel(pipeline: Pipeline, folder: string, asked: AskedSize = {}): Promise<BenchModel> {
  if (isStaged(folder)) {
    const manifest = await loadManifest(folder)
    const tokenizer = await Tokenizer.load(folder, manifest.text)
    return { ...ofPlan(manifest), checkPrompt: (prompt) => void tokenizer.encode(prompt) }
  }
  return pipeline.sound ? ofSounds(pipeline, pipeline.sound, asked) : ofPictures(pipeline, asked)
}

/** Its final states are the samples, before they are rounded to pixels. */
export function ofPlan(manifest: Manifest): BenchModel {
  const { name, schedulers, latents: shape, output, text, stages } = manifest
  return {
    name,
    schedulers: Object.keys(schedulers),
    deterministic: Object.keys(schedulers).filter((each) => !isStochastic(parseSchedulerConfig(schedulers[each]).config.solver)),
    shape,
    range: output.range,
    samplesOf: ({ latents, trace: { members } }) => {
      const length = latents.length / members.length
      return members.map((_, k) => latents.slice(k * length, (k + 1) * length))
    },
    rowsAt: twoWithGuidance,
    costs: manifest,
    bytes: [text, ...stages].reduce((sum, part) => sum + part.bytes, 0),
  }
}

const twoWithGuidance = (guidance: number): number => (guidance === 1 ? 1 : 2)

/** What is compared are 8-bit pixels, after the autoencoder. */
function ofPictures(pipeline: Pipeline, { width = pipeline.size[0], height = pipeline.size[1] }: AskedSize): BenchModel {
  return {
    ...ofFolder(pipeline),
    shape: [3, height, width],
    range: [-1, 1],
    samplesOf: ({ images }) => images.map(sampleOf),
  }
}

/** What is compared are pictures of spectrograms. */
function ofSounds(pipeline: Pipeline, own: NonNullable<Pipeline['sound']>, { seconds }: AskedSize): BenchModel {
  const samples = seconds === undefined ? Math.round(own.seconds * own.sampleRate) : Math.floor(seconds * own.sampleRate)
  return {
    ...ofFolder(pipeline),
    note: SOUND_NOTE,
    shape: spectrogramShape(samples),
    range: [-1, 1],
    samplesOf: ({ audio }) => audio.map(spectrogramPicture),
  }
}

const ofFolder = ({ name, schedulers, takes }: Pipeline) => ({
  name,
  schedulers,
  deterministic: schedulers.filter((each) => !isStochastic(each as SolverName)),
  // Where guidance away from a negative prompt is an option of its own, the scale is distilled into the network.
  rowsAt: takes.includes('trueGuidanceScale') ? (): number => 1 : twoWithGuidance,
})
