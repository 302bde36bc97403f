import { SadaError } from '../errors.ts'
import type { Purpose } from '../sampler/memory.ts'
import { Autoencoder } from './autoencoder.ts'
import { Component, type LoadContext } from './component.ts'
import { ControlNet } from './controlnet.ts'
import { rowsOf } from './denoiser.ts'
import type { FamilyRequest, Request } from './family.ts'
import { promptsOf, type LatentSize } from './latent-family.ts'
import { loadNetwork } from './network-plan.ts'
import { residualInputs } from './input-shapes.ts'
import { Schedulers, VARIANCE_PRESERVING } from './scheduler.ts'
import { TextEncoder, type Encoded } from './text-encoder.ts'
import { PICTURE_OPTIONS, UNET_INPUTS, UnetFamily, unetRange, type UnetConditioning, type UnetParts } from './unet-family.ts'

const INPUTS = {
  ...UNET_INPUTS,
  text: ['encoder_hidden_states', 'encoder_hidden_state'],
  pooled: ['text_embeds'],
  sizes: ['time_ids'],
}
const TAKES = [
  ...PICTURE_OPTIONS,
  'secondPrompt',
  'negativeSecondPrompt',
  'denoisingStart',
  'denoisingEnd',
  'originalSize',
  'targetSize',
  'cropTopLeft',
  'negativeOriginalSize',
  'negativeTargetSize',
  'negativeCropTopLeft',
] as const

/** What the refiner is told about how pleasing a picture is, with the prompt and without, as in diffusers. */
const AESTHETIC = { conditional: 6, unconditional: 2.5 }

interface XlParts {
  /** The refiner has the second alone. */
  readonly encoders: readonly TextEncoder[]
  readonly names: { readonly text: string; readonly pooled: string; readonly sizes: string }
  readonly forceZeros: boolean
}

/** Stable Diffusion XL: the states of two text encoders side by side, a pooled vector, and the sizes that the picture is to look like. */
export class StableDiffusionXl extends UnetFamily {
  private readonly xl: XlParts

  private constructor(context: LoadContext, parts: UnetParts, xl: XlParts) {
    super(context, parts, TAKES)
    this.xl = xl
    const features = xl.encoders.reduce((sum, each) => sum + each.features, 0)
    parts.unet.expectDimension(xl.names.text, 2, features, 'the features of the text encoders')
    parts.unet.expectDimension(xl.names.pooled, 1, xl.encoders.at(-1)!.pooledFeatures, 'the pooled features of text_encoder_2')
  }

  static async load(context: LoadContext, name: string): Promise<StableDiffusionXl> {
    const { folder } = context
    await Component.refuseSet(context, 'unet', 'time_cond_proj_dim')
    await Component.refuseSet(context, 'vae_decoder', 'latents_mean', 'latents_std')
    const schedulers = await Schedulers.load(folder, VARIANCE_PRESERVING)
    const isRefiner = !(await Component.has(context, 'text_encoder'))
    const second = await TextEncoder.load(context, 'text_encoder_2', 'tokenizer_2', {
      states: 'penultimate',
      pooled: ['text_embeds'],
    })
    const first = isRefiner ? [] : [await TextEncoder.load(context, 'text_encoder', 'tokenizer', { states: 'penultimate' })]
    const range = await unetRange(context, second.length)
    const autoencoder = await Autoencoder.load(context, 3, range)
    const { component: unet, plan } = await loadNetwork(context, 'unet', range)
    const controlNets = await ControlNet.loadAll(context, unet, range)
    const residuals = Object.fromEntries(residualInputs(unet).map((each) => [each, [each]]))
    const { sample, time, text, pooled, sizes } = unet.meanings(INPUTS, residuals)
    // Also where it is not written, as in diffusers.
    const { force_zeros_for_empty_prompt: forceZeros = true } = await folder.optionalJson('model_index.json')
    return new StableDiffusionXl(
      context,
      { name, unet, plan, range, autoencoder, schedulers, controlNets, inputs: { sample, time }, guidance: 5 },
      { encoders: [...first, second], names: { text, pooled, sizes }, forceZeros: forceZeros === true },
    )
  }

  protected async readPrompts(request: Request, guidance: number, size: LatentSize, purpose: Purpose): Promise<UnetConditioning> {
    const { encoders, names, forceZeros } = this.xl
    const prompts = await this.encode([request.prompts, promptsOf(request, 'secondPrompt')], purpose)
    const negative = promptsOf(request, 'negativePrompt')
    const opposite =
      guidance === 1
        ? { states: [], pooled: [] }
        : negative === undefined && forceZeros
          ? zeros(prompts)
          : await this.encode([negative ?? request.prompts.map(() => ''), promptsOf(request, 'negativeSecondPrompt')], purpose)
    const [given, withheld] = this.sizes(request, size)
    const repeated = (values: Float32Array): Float32Array[] => request.prompts.map(() => values)
    const features = encoders.reduce((sum, each) => sum + each.features, 0)
    const last = encoders.at(-1)!
    return {
      tensors: {
        [names.text]: { shape: ['rows', last.length, features], rows: rowsOf(prompts.states, opposite.states, guidance) },
        [names.pooled]: { shape: ['rows', last.pooledFeatures], rows: rowsOf(prompts.pooled, opposite.pooled, guidance) },
        [names.sizes]: { shape: ['rows', given.length], rows: rowsOf(repeated(given), repeated(withheld), guidance) },
      },
      droppedTokens: prompts.dropped,
    }
  }

  /** The states of all encoders side by side, token by token; the pooled vector is the last one's. */
  private async encode(
    [prompts, second = prompts]: readonly [readonly string[], readonly string[] | undefined],
    purpose: Purpose,
  ): Promise<Omit<Encoded, 'masks'>> {
    const { encoders } = this.xl
    const each: Encoded[] = []
    // The refiner's only one reads the first prompt, as in diffusers.
    for (const [k, encoder] of encoders.entries()) each.push(await encoder.encode(k === 0 ? prompts : second, purpose))
    const features = encoders.map((one) => one.features)
    const states = prompts.map((_, k) =>
      sideBySide(
        each.map(({ states: own }) => own[k]),
        features,
      ),
    )
    const dropped = prompts.map((_, k) => Math.max(...each.map(({ dropped: own }) => own[k])))
    return { states, pooled: each.at(-1)!.pooled, dropped }
  }

  /** `time_ids` of both guidance branches. */
  private sizes(request: Request, [height, width]: LatentSize): [Float32Array, Float32Array] {
    const { scale } = this.autoencoder
    const own = [height * scale, width * scale] as const
    const { originalSize = own, cropTopLeft = [0, 0], targetSize = own } = request
    const count = this.unet.dimension(this.xl.names.sizes, 1, 6)
    if (count === 5) {
      const { negativeOriginalSize, negativeCropTopLeft = [0, 0] } = request
      return [
        Float32Array.of(...originalSize, ...cropTopLeft, AESTHETIC.conditional),
        Float32Array.of(...(negativeOriginalSize ?? originalSize), ...negativeCropTopLeft, AESTHETIC.unconditional),
      ]
    }
    if (count !== 6)
      throw new SadaError('IO_MISMATCH', `${this.unet.path}: expected 5 or 6 sizes in "time_ids", the file has ${count}.`)
    const conditional = Float32Array.of(...originalSize, ...cropTopLeft, ...targetSize)
    return [conditional, Float32Array.of(...negativeSizes(request, { originalSize, cropTopLeft, targetSize }))]
  }
}

type Sizes = Required<Pick<FamilyRequest, 'originalSize' | 'cropTopLeft' | 'targetSize'>>

/**
 * As diffusers' pipelines differ: from noise the negative sizes count where both are given, with a crop of their own; from a picture each
 * counts by itself, beside the crop that the prompt's have.
 */
function negativeSizes(request: Request, { originalSize, cropTopLeft, targetSize }: Sizes): number[] {
  const { init, negativeOriginalSize: original, negativeCropTopLeft: crop = [0, 0], negativeTargetSize: target } = request
  if (init !== undefined) return [...(original ?? originalSize), ...cropTopLeft, ...(target ?? targetSize)]
  const areGiven = original !== undefined && target !== undefined
  return areGiven ? [...original, ...crop, ...target] : [...originalSize, ...cropTopLeft, ...targetSize]
}

function zeros({ states, pooled }: Pick<Encoded, 'states' | 'pooled'>): { states: Float32Array[]; pooled: Float32Array[] } {
  const same = (all: readonly Float32Array[]): Float32Array[] => all.map(({ length }) => new Float32Array(length))
  return { states: same(states), pooled: same(pooled) }
}

function sideBySide(parts: readonly Float32Array[], features: readonly number[]): Float32Array {
  if (parts.length === 1) return parts[0]
  const total = features.reduce((sum, n) => sum + n, 0)
  const tokens = parts[0].length / features[0]
  const all = new Float32Array(tokens * total)
  for (let token = 0; token < tokens; token++) {
    let at = token * total
    for (const [k, part] of parts.entries()) {
      all.set(part.subarray(token * features[k], (token + 1) * features[k]), at)
      at += features[k]
    }
  }
  return all
}
