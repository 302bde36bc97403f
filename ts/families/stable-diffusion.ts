import type { Schedule } from '../schedule/schedule.ts'
import type { Workspace } from '../native/types.ts'
import { Autoencoder } from './autoencoder.ts'
import { Component, type LoadContext } from './component.ts'
import { denoiser, rowsOf } from './denoiser.ts'
import type { FamilyRequest, Request } from './family.ts'
import { effectiveGuidance, LatentFamily, negativePrompts, type Conditioned, type LatentSize } from './latent-family.ts'
import { Schedulers, scheduleFor } from './scheduler.ts'
import { TextEncoder } from './text-encoder.ts'

const INPUTS = {
  sample: ['sample'],
  time: ['timestep', 'timesteps', 't'],
  text: ['encoder_hidden_states', 'encoder_hidden_state'],
}

/** Stable Diffusion 1 and 2: one CLIP text encoder, a UNet that reads its states. */
export class StableDiffusion extends LatentFamily {
  readonly name: string
  readonly size: readonly [number, number]
  readonly defaults: LatentFamily['defaults']
  readonly takes: readonly (keyof FamilyRequest)[] = ['negativePrompt', 'width', 'height', 'init', 'strength', 'mask']
  private readonly unet: Component
  private readonly text: TextEncoder
  private readonly names: { sample: string; time: string; text: string; output: string }

  private constructor(
    name: string,
    parts: { unet: Component; text: TextEncoder; vae: Autoencoder; schedulers: Schedulers },
    context: LoadContext,
  ) {
    super(context, parts.vae, parts.schedulers)
    this.name = name
    this.unet = parts.unet
    this.text = parts.text
    this.names = { ...this.unet.meanings(INPUTS), output: this.unet.output('out_sample', 'sample_out', 'noise_pred') }
    this.unet.expectDimension(this.names.sample, 1, parts.vae.channels, 'the channels of the autoencoder')
    this.unet.expectDimension(this.names.text, 2, parts.text.features, 'the features of the text encoder')
    const side = (typeof this.unet.config.sample_size === 'number' ? this.unet.config.sample_size : 64) * parts.vae.scale
    this.size = [side, side]
    this.defaults = { scheduler: parts.schedulers.own, steps: 50, guidance: 7.5 }
  }

  static async load(context: LoadContext, name: string): Promise<StableDiffusion> {
    const schedulers = await Schedulers.load(context.folder, ['dpm++', 'euler'])
    const text = await TextEncoder.load(context, 'text_encoder', 'tokenizer', { states: ['last_hidden_state'] })
    const vae = await Autoencoder.load(context)
    const unet = await Component.load(context, 'unet')
    return new StableDiffusion(name, { unet, text, vae, schedulers }, context)
  }

  protected schedule(request: Request): Schedule {
    return scheduleFor(this.schedulersOfFolder.configOf(request.scheduler), request, { steps: request.steps })
  }

  protected async condition(
    { request, workspace, size }: { request: Request; workspace: Workspace; size: LatentSize },
    signal: AbortSignal,
  ): Promise<Conditioned> {
    const { prompts } = request
    const guidance = effectiveGuidance(request.guidance)
    const { states, dropped } = await this.text.encode(prompts, signal)
    const negative =
      guidance > 1 ? await this.text.encode(negativePrompts(request) ?? prompts.map(() => ''), signal) : { states: [] }
    const { network } = denoiser({
      engine: this.engine,
      component: this.unet,
      workspace,
      members: prompts.length,
      guidance,
      state: { input: this.names.sample, output: this.names.output, shape: ['rows', this.autoencoder.channels, ...size] },
      time: { input: this.names.time, value: ({ timestep }) => timestep },
      conditioning: {
        [this.names.text]: {
          shape: ['rows', this.text.length, this.text.features],
          rows: rowsOf(states, negative.states, guidance),
        },
      },
    })
    return { network, droppedTokens: dropped }
  }
}
