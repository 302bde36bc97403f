import type { SadaError } from '../errors.ts'
import type { Engine, GpuRef, Workspace } from '../native/types.ts'
import type { OpenedDevice } from '../plan/device-engine.ts'
import type { NoiseSource, Seed } from '../sampler/latents.ts'
import type { Purpose } from '../sampler/memory.ts'
import type { Network } from '../sampler/network.ts'
import type { Solver } from '../solver/solver.ts'

/**
 * Pixels row by row from the top left: `data` is [height, width, 1, 3 or 4], grey, RGB or RGBA from 0 to 255; opacity is not read. 2²⁸ pixels at
 * most. `data` must not be changed until the call that it is given to has settled.
 */
export interface Pixels {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array | Uint8ClampedArray
}

/** What leads a ControlNet. */
export interface Control {
  /** One picture, or one for each that is made; of the size of those. */
  readonly images: readonly Pixels[]
  /** 0 … 2; default 1. */
  readonly strength?: number | undefined
  /**
   * Shares of the run's steps, those that `denoisingEnd` leaves out among them, between which it leads, at steps that lie between them whole;
   * default 0 to 1. At least 0, below `end`.
   */
  readonly start?: number | undefined
  /** Above 0, at most 1; default 1. */
  readonly end?: number | undefined
}

/** What a model may be told beside what every model is told; each family says which it takes. */
export interface FamilyRequest {
  /**
   * What guidance leads away from; one, or one for each picture. Not read where there is no guidance. Default: the empty one, as in diffusers'
   * pipeline; Flux needs one with `trueGuidanceScale`.
   */
  readonly negativePrompt?: string | readonly string[] | undefined
  /** SDXL: what the second of two text encoders reads instead; one, or one for each picture. */
  readonly secondPrompt?: string | readonly string[] | undefined
  /** SDXL: what the second text encoder reads instead of `negativePrompt`; one, or one for each picture. */
  readonly negativeSecondPrompt?: string | readonly string[] | undefined
  /** In pixels: a multiple of what a latent, or with a transformer a patch of them, covers (mostly 8 or 16), 8192 at most. Default: `init`'s, else `pipeline.size`. */
  readonly width?: number | undefined
  /** As `width`. */
  readonly height?: number | undefined
  /**
   * Where the run starts: a picture of `width` × `height`, or latents as a run's result has them: with `denoisingStart` those of one that
   * `denoisingEnd` ended early, without it those of a whole one, which get noise as a picture does.
   */
  readonly init?: Pixels | { readonly latents: Float32Array } | undefined
  /** How much of `init` is made anew, 0 … 1: the share of `steps` that are made. Default 0.8; with `mask` 1. Not read with `denoisingStart`. */
  readonly strength?: number | undefined
  /** White where the picture is made anew, black where `init` stays; of any size. Needs `init` as a picture. */
  readonly mask?: Pixels | undefined
  /** For models with ControlNets: one for each of them, in their order; fewer leave the last ones out. 8 at most. */
  readonly control?: readonly Control[] | undefined
  /** SDXL: shares of the noise levels, 0 … 1, between which the run is; with `denoisingStart` from `init`. Default: all of them. */
  readonly denoisingStart?: number | undefined
  /** As `denoisingStart`; default 1. Below 1 the result's `latents` still hold noise, and are what another run takes as `init`. */
  readonly denoisingEnd?: number | undefined
  /** Stable Diffusion: share, 0 … 1, by which guided outputs are brought back to the spread of unguided ones. Default 0. */
  readonly guidanceRescale?: number | undefined
  /** Flux: guidance away from the negative prompt, beside the distilled one; 1 … 100. Default 1, none. */
  readonly trueGuidanceScale?: number | undefined
  /** Flux, Stable Diffusion 3, PixArt: tokens of the prompt that T5 reads, 4 … 512. Default: as in diffusers' pipeline. */
  readonly maxSequenceLength?: number | undefined
  /** Length of the sound in seconds, 600 at most. Default: the model's own. */
  readonly seconds?: number | undefined
  /**
   * Side, in pixels (of a spectrogram: in frames), of the overlapping tiles in which larger pictures are decoded and encoded, which bounds
   * memory; a multiple of four latents, 8192 at most. 0: never in tiles. Default: tiles of the size that the autoencoder was made for, where
   * a picture has more than 2¹⁵ latents (2 megapixels).
   */
  readonly tileSize?: number | undefined
  /** SDXL: what the network is told about sizes, [height, width] in whole pixels. Default: the size of the picture. */
  readonly originalSize?: readonly [number, number] | undefined
  /** SDXL, but not its refiner: [height, width] in whole pixels. Default: the size of the picture. */
  readonly targetSize?: readonly [number, number] | undefined
  /** SDXL: [top, left] in whole pixels. Default [0, 0]. */
  readonly cropTopLeft?: readonly [number, number] | undefined
  /** SDXL, with the negative prompt: as `originalSize`. Default that; from noise it counts beside `negativeTargetSize` alone, except with the refiner. */
  readonly negativeOriginalSize?: readonly [number, number] | undefined
  /** SDXL, with the negative prompt: as `targetSize`. Default that; from noise it counts beside `negativeOriginalSize` alone. */
  readonly negativeTargetSize?: readonly [number, number] | undefined
  /** SDXL, with the negative prompt: as `cropTopLeft`, default [0, 0]. From noise it counts beside both negative sizes, from `init` with the refiner alone. */
  readonly negativeCropTopLeft?: readonly [number, number] | undefined
}

/** A request whose common part has been checked and completed. */
export interface Request extends FamilyRequest {
  readonly prompts: readonly string[]
  readonly seed: Seed
  readonly steps: number
  readonly guidance: number
  /** A name of `schedulers`, or a `scheduler_config.json` as an object. */
  readonly scheduler: string | object
}

/** What a run makes of its final states. */
export type Output =
  | {
      readonly kind: 'image'
      readonly samples: readonly Float32Array[]
      readonly shape: readonly [3, number, number]
      /** The values of black and white. */
      readonly range: readonly [number, number]
    }
  | { readonly kind: 'audio'; readonly samples: readonly Float32Array[]; readonly sampleRate: number }

/** Pictures, one for each member. */
export type ImageOutput = Extract<Output, { readonly kind: 'image' }>

/** One run, ready for the denoising loop. */
export interface FamilyRun {
  readonly solver: Solver
  readonly network: Network
  /** The initial state of each member. */
  readonly latents: readonly Float32Array[]
  /** What the noise of the steps is drawn from, where the solver is stochastic. */
  readonly noise: NoiseSource
  /** Changes a member's state after step `step`. */
  readonly afterStep?: (step: number, member: number, state: Float32Array) => void
  /** Makes pictures or sounds of the final states, [members, length]. */
  finish(latents: Float32Array, signal: AbortSignal): Promise<Output>
  /** Small pictures of the clean states estimated on the way, [members, length]. Costs little beside a step. */
  preview(denoised: Float32Array, signal: AbortSignal): Promise<ImageOutput>
  readonly unknownWords: readonly string[]
  /** For each prompt, the tokens that did not fit into what its encoder reads. */
  readonly droppedTokens: readonly number[]
}

/** What a model can be asked. */
export interface Offer {
  readonly defaults: { readonly scheduler: string; readonly steps: number; readonly guidance: number }
  readonly schedulers: readonly string[]
  /** Of a scheduler that is not among them: what of the model's configuration it cannot have. */
  whyNot?(scheduler: string): SadaError | undefined
  /** Options beside the common ones that it takes. */
  readonly takes: readonly (keyof FamilyRequest)[]
}

/** A loaded model of some kind. Nothing of a run lives on it. */
export interface Family extends Offer {
  readonly name: string
  readonly makes: Output['kind']
  readonly engine: Engine
  /** Where another engine than `engine` runs the network, on a GPU: that one. */
  readonly device?: OpenedDevice | undefined
  /** The GPU that holds the tensors of a run; undefined: they lie in host memory. */
  readonly gpu?: GpuRef | undefined
  /** Why there is none, where one was looked for. */
  readonly withoutGpu?: string | undefined
  /** [width, height] of a picture where nothing else is asked; [0, 0] of a sound. */
  readonly size: readonly [number, number]
  /** Of a sound, where nothing else is asked; absent where pictures are made. */
  readonly sound?: { readonly sampleRate: number; readonly seconds: number } | undefined
  /** What only running its parts on something small can tell, at load: throws IO_MISMATCH where they do not fit their configurations. */
  check?(signal: AbortSignal): Promise<void>
  /**
   * Prepares a run in `workspace`, which is the run's own; for planning, in one that only notes what it is asked for, and without
   * computing anything. Both ask for the same tensors in the same order.
   */
  begin(request: Request, workspace: Workspace, purpose: Purpose): Promise<FamilyRun>
}
