import { join } from 'node:path'
import { checkNames, SadaError, unknownName } from '../errors.ts'
import { asSadaError, findOnnxRuntime, loadAddon } from '../native/load.ts'
import { chooseGpu } from '../native/gpu.ts'
import type { Engine } from '../native/types.ts'
import { readOnnxModel } from '../onnx/model.ts'
import type { DeviceEngine, NetworkFile, OpenDeviceEngine } from '../plan/device-engine.ts'
import type { EngineSettings } from '../plan/model.ts'
import type { LoadContext } from './component.ts'
import type { Family } from './family.ts'
import { Flux } from './flux.ts'
import { Folder } from './folder.ts'
import { MusicLdm } from './musicldm.ts'
import { PixArt } from './pixart.ts'
import { StableDiffusion3 } from './stable-diffusion-3.ts'
import { StableDiffusion } from './stable-diffusion.ts'
import { StableDiffusionXl } from './stable-diffusion-xl.ts'

/** What `load` takes; all but those of engines are for folders in the layout of diffusers, and INVALID_ARGUMENT where a folder has a `plan.json`. */
export interface FamilySettings extends EngineSettings {
  /** For folders that are laid out otherwise: role (`unet`, `vae_decoder`, …) → its model file, or the subfolder with a `model.onnx`. Roles that there are not are UNKNOWN_NAME. */
  readonly paths?: Readonly<Record<string, string | undefined>> | undefined
  /** What kind of model a folder without `model_index.json` holds. */
  readonly family?: FamilyName | undefined
  /** A folder that links in the model's folder may lead into, like that of the Hugging Face cache. Default: none, links out of it are PATH_UNSAFE. */
  readonly linksInto?: string | undefined
  /** `false`: the network as one file also where the folder has it in stages as well; nothing can be pruned or reused then. Default true. */
  readonly stages?: boolean | undefined
}

interface Entry {
  readonly classes: RegExp
  /** The parts that such a folder can have; with `controlnet` go `controlnet_1`, `controlnet_2` and so on. */
  readonly roles: readonly string[]
  readonly load: (context: LoadContext, name: string) => Promise<Family>
}

const AUTOENCODER = ['vae_decoder', 'vae_encoder'] as const
const PIXART = ['text_encoder', 'transformer', ...AUTOENCODER] as const

/** The families by their names, each with the classes of diffusers that it stands for. */
const FAMILIES = {
  'stable-diffusion': {
    classes: /^StableDiffusion(ControlNet)?(Img2Img|Inpaint)?Pipeline$/,
    roles: ['text_encoder', 'unet', ...AUTOENCODER, 'controlnet'],
    load: (context, name) => StableDiffusion.load(context, name),
  },
  'stable-diffusion-xl': {
    classes: /^StableDiffusionXL(ControlNet)?(Img2Img|Inpaint)?Pipeline$/,
    roles: ['text_encoder', 'text_encoder_2', 'unet', ...AUTOENCODER, 'controlnet'],
    load: (context, name) => StableDiffusionXl.load(context, name),
  },
  'stable-diffusion-3': {
    classes: /^StableDiffusion3(Img2Img|Inpaint)?Pipeline$/,
    roles: ['text_encoder', 'text_encoder_2', 'text_encoder_3', 'transformer', ...AUTOENCODER],
    load: (context, name) => StableDiffusion3.load(context, name),
  },
  flux: {
    classes: /^Flux(Img2Img|Inpaint)?Pipeline$/,
    roles: ['text_encoder', 'text_encoder_2', 'transformer', ...AUTOENCODER],
    load: (context, name) => Flux.load(context, name),
  },
  // They differ in how much of a prompt they were trained to read.
  'pixart-alpha': {
    classes: /^PixArtAlphaPipeline$/,
    roles: PIXART,
    load: (context, name) => PixArt.load(context, name, 120),
  },
  'pixart-sigma': {
    classes: /^PixArtSigmaPipeline$/,
    roles: PIXART,
    load: (context, name) => PixArt.load(context, name, 300),
  },
  musicldm: {
    classes: /^MusicLDMPipeline$/,
    roles: ['text_encoder', 'unet', ...AUTOENCODER, 'vocoder'],
    load: (context, name) => MusicLdm.load(context, name),
  },
} satisfies Record<string, Entry>

/** A kind of model. */
export type FamilyName = keyof typeof FAMILIES

const NAMES = Object.keys(FAMILIES) as FamilyName[]
/** What would take longer to be tried at load, a graph that never ends among it, is left to the runs, which can be aborted. */
const LONGEST_CHECK_MS = 20_000

/**
 * Loads a folder in the layout of diffusers and Optimum. Rejects with MODEL_NOT_FOUND, MANIFEST_INVALID, MODEL_CORRUPT,
 * MODEL_TOO_LARGE, MODEL_CHANGED, RESOURCE_LIMIT, SHAPE_INVALID, UNSUPPORTED, IO_MISMATCH, TOKENIZER_INVALID, INVALID_SCHEDULE,
 * PATH_ESCAPE, PATH_UNSAFE, UNTRUSTED_CODE or BACKEND_UNAVAILABLE.
 */
export async function loadFamily(path: string, settings: FamilySettings, openDevice?: OpenDeviceEngine): Promise<Family> {
  const folder = await openFolder(path, settings)
  const family = await familyOf(folder, settings.family)
  checkRoles(settings.paths, family)
  const chosen = await chooseGpu(settings.device ?? 'cpu')
  let engine: Engine
  try {
    engine = new (loadAddon().Engine)({ library: findOnnxRuntime() })
  } catch (error) {
    throw asSadaError(error)
  }
  let device: DeviceEngine | undefined
  try {
    device = await openDevice?.(chosen)
    const loaded = await loadParts({ ...settings, folder, engine, ...chosen, device }, family)
    await loaded.check?.(AbortSignal.timeout(LONGEST_CHECK_MS))
    return loaded
  } catch (error) {
    await Promise.all([engine.dispose(), device?.engine.dispose()])
    throw error
  }
}

/** The files of a folder that an engine on a GPU is to run, with the sizes for it; nothing is loaded. Rejects as `loadFamily` does. */
export async function networkFiles(path: string, settings: FamilySettings): Promise<NetworkFile[]> {
  const folder = await openFolder(path, settings)
  const family = await familyOf(folder, settings.family)
  checkRoles(settings.paths, family)
  const files: NetworkFile[] = []
  const load = (file: NetworkFile): Promise<number> => Promise.resolve(files.push(file))
  const device = { engine: NO_ENGINE, onGpu: true, compiles: true, load }
  await loadParts({ ...settings, folder, engine: NO_ENGINE, device }, family)
  return files
}

/** Throws UNKNOWN_NAME for a path of a role that the family does not have, before anything is loaded. */
function checkRoles(paths: FamilySettings['paths'] = {}, family: FamilyName): void {
  const roles: readonly string[] = FAMILIES[family].roles
  const isFurther = (role: string): boolean => roles.includes('controlnet') && /^controlnet_[1-9]\d*$/.test(role)
  const given = Object.fromEntries(Object.entries(paths).filter(([role]) => !isFurther(role)))
  checkNames(given, Object.fromEntries(roles.map((role) => [role, true])), { within: 'paths' })
}

/** Throws UNKNOWN_NAME for a path of a role that was not looked for, of a ControlNet after one that the folder lacks. */
async function loadParts(context: LoadContext, family: FamilyName): Promise<Family> {
  const roles = new Set<string>()
  const loaded = await FAMILIES[family].load({ ...context, roles }, family)
  checkNames(context.paths ?? {}, Object.fromEntries([...roles].map((role) => [role, true])), { within: 'paths' })
  return loaded
}

/** In place of an engine where nothing shall run: its sessions are what the files say. */
const NO_ENGINE: Engine = {
  version: '',
  load: ({ bytes }) => {
    const { inputs, outputs } = readOnnxModel(Buffer.from(bytes!), 'the model').graph
    return Promise.resolve({ session: -1, inputs, outputs })
  },
  run: () => noneRuns(),
  sample: () => noneRuns(),
  runtimeCache: () => noneRuns(),
  dispose: () => Promise.resolve(),
}

function noneRuns(): never {
  throw new SadaError('INTERNAL', 'A network was to be described, and was run.')
}

async function openFolder(path: string, { linksInto }: FamilySettings): Promise<Folder> {
  const folder = await Folder.open(path, linksInto)
  await folder.refuseLibraries()
  return folder
}

/** Which family a folder holds: as `model_index.json` says, or the caller. */
async function familyOf(folder: Folder, given: FamilyName | undefined): Promise<FamilyName> {
  if (given !== undefined) {
    if (NAMES.includes(given)) return given
    throw unknownName('family', given, NAMES)
  }
  if (!(await folder.has('model_index.json'))) {
    const hint = `It holds neither plan.json nor model_index.json; say what it is with "family": ${NAMES.join(', ')}.`
    throw new SadaError('MODEL_NOT_FOUND', `${folder.root} is no model folder that is known. ${hint}`, { argument: 'model' })
  }
  const { _class_name: written } = await folder.json('model_index.json')
  if (typeof written !== 'string') {
    const file = join(folder.root, 'model_index.json')
    throw new SadaError('MANIFEST_INVALID', `${file}: expected the name of a pipeline's class at /_class_name.`)
  }
  // The exports of ONNX Runtime's and Optimum's own pipelines put their mark before the name.
  const name = written.replace(/^(ORT|Onnx)/, '')
  const family = NAMES.find((each) => FAMILIES[each].classes.test(name))
  if (family !== undefined) return family
  throw new SadaError('UNSUPPORTED', `${folder.root} holds a ${written.slice(0, 60)}, which is none of ${NAMES.join(', ')}.`)
}
