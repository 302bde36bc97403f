import type { Purpose } from '../sampler/memory.ts'
import { Autoencoder } from './autoencoder.ts'
import { Component, type LoadContext } from './component.ts'
import { ControlNet } from './controlnet.ts'
import { rowsOf } from './denoiser.ts'
import type { Request } from './family.ts'
import { promptsOf, type LatentSize } from './latent-family.ts'
import { loadNetwork } from './network-plan.ts'
import { residualInputs } from './input-shapes.ts'
import { Schedulers, VARIANCE_PRESERVING } from './scheduler.ts'
import { TextEncoder } from './text-encoder.ts'
import { PICTURE_OPTIONS, UNET_INPUTS, UnetFamily, unetRange, type UnetConditioning, type UnetParts } from './unet-family.ts'

/** Stable Diffusion 1 and 2: one CLIP text encoder, a UNet that reads its states. */
export class StableDiffusion extends UnetFamily {
  private readonly text: TextEncoder
  private readonly textInput: string

  private constructor(context: LoadContext, parts: UnetParts, text: TextEncoder, textInput: string) {
    super(context, parts, PICTURE_OPTIONS)
    this.text = text
    this.textInput = textInput
    parts.unet.expectDimension(textInput, 2, text.features, 'the features of the text encoder')
  }

  static async load(context: LoadContext, name: string): Promise<StableDiffusion> {
    await Component.refuseSet(context, 'unet', 'time_cond_proj_dim')
    await Component.refuseSet(context, 'text_encoder', 'use_attention_mask')
    const schedulers = await Schedulers.load(context.folder, VARIANCE_PRESERVING)
    const text = await TextEncoder.load(context, 'text_encoder', 'tokenizer', { states: ['last_hidden_state'] })
    const range = await unetRange(context, text.length)
    const autoencoder = await Autoencoder.load(context, 3, range)
    const { component: unet, plan } = await loadNetwork(context, 'unet', range)
    const controlNets = await ControlNet.loadAll(context, unet, range)
    const { text: textInput, ...inputs } = unet.meanings(
      { ...UNET_INPUTS, text: ['encoder_hidden_states', 'encoder_hidden_state'] },
      Object.fromEntries(residualInputs(unet).map((each) => [each, [each]])),
    )
    const parts = { name, unet, plan, range, autoencoder, schedulers, controlNets, inputs, guidance: 7.5 }
    return new StableDiffusion(context, parts, text, textInput)
  }

  protected async readPrompts(request: Request, guidance: number, _: LatentSize, purpose: Purpose): Promise<UnetConditioning> {
    const { prompts } = request
    const { states, dropped } = await this.text.encode(prompts, purpose)
    const negative =
      guidance > 1
        ? await this.text.encode(promptsOf(request, 'negativePrompt') ?? prompts.map(() => ''), purpose)
        : { states: [] }
    const { length, features } = this.text
    const rows = rowsOf(states, negative.states, guidance)
    return { tensors: { [this.textInput]: { shape: ['rows', length, features], rows } }, droppedTokens: dropped }
  }
}
