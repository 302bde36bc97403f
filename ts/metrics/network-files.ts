import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { pointerOf } from '../errors.ts'

/** Said of every metric that needs one. */
export const NO_NETWORKS = 'no folder of networks was given'

/** The networks that metrics need, as models/metrics/convert_*.py writes them: `<name>.json` and its ONNX graphs. */

const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
/** A plain file name: what lies outside the folder cannot be named. */
const fileName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'Expected a plain file name inside the folder'))
const size = v.pipe(v.number(), v.integer(), v.minValue(1))

const common = {
  schema: v.literal('sada-metric-network/1'),
  /** From which files the weights came. */
  sources: v.record(v.string(), v.object({ file: v.string(), sha256 })),
}
const graph = v.object({ file: fileName, sha256, bytes: size })

const clip = {
  ...common,
  graphs: v.object({ image: graph, text: graph }),
  /** The model's published name. */
  model: v.string(),
  /** Pixels each way of what the image encoder reads. */
  size,
  /** Tokens that the text encoder reads. */
  length: size,
  /** Numbers in an embedding. */
  embedding: size,
  /** Subfolder of the tokenizer's files. */
  tokenizer: fileName,
}

const sidecars = {
  'lpips-alex': v.object({
    ...common,
    network: v.literal('lpips-alex'),
    graphs: v.object({ trunk: graph }),
    /** Per tap, one weight per channel. */
    linear: v.pipe(v.array(v.pipe(v.array(v.pipe(v.number(), v.minValue(0))), v.minLength(1))), v.length(5)),
  }),
  'inception-fid': v.object({
    ...common,
    network: v.literal('inception-fid'),
    graphs: v.object({ network: graph }),
    /** How many features it gives of a picture. */
    features: size,
  }),
  'clip-vit-b-32': v.object({ network: v.literal('clip-vit-b-32'), ...clip }),
  'clip-vit-l-14': v.object({ network: v.literal('clip-vit-l-14'), ...clip }),
}

/** A network that metrics need. */
export type NetworkName = keyof typeof sidecars
/** What the `<name>.json` of a network says. */
export type Sidecar<N extends NetworkName> = v.InferOutput<(typeof sidecars)[N]>

/** The sha256 of the published files, by the part of the network whose source they are; more than one where several were published. */
const PUBLISHED: Record<NetworkName, Record<string, readonly string[]>> = {
  'lpips-alex': {
    trunk: ['7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02'], // torchvision's alexnet-owt-7be5be79.pth
    linear: ['df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0'], // lpips/weights/v0.1/alex.pth
  },
  'inception-fid': {
    network: ['6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2'], // pytorch-fid's pt_inception-2015-12-05-6726825d.pth
  },
  'clip-vit-b-32': {
    network: ['a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f'], // openai/clip-vit-base-patch32's pytorch_model.bin
  },
  'clip-vit-l-14': {
    network: ['f1a17cdbe0f36fec524f5cafb1c261ea3bbbc13e346e0f74fc9eb0460dedd0d3'], // openai/clip-vit-large-patch14's pytorch_model.bin
  },
}

export const CONVERTERS: Record<NetworkName, string> = {
  'lpips-alex': 'models/metrics/convert_lpips.py',
  'inception-fid': 'models/metrics/convert_inception.py',
  'clip-vit-b-32': 'models/metrics/convert_clip.py',
  'clip-vit-l-14': 'models/metrics/convert_clip.py',
}

/**
 * Why a metric has no value. Stable: programs may switch on it.
 * - `no-weights`: no folder of networks was given, or the network is not in it;
 * - `unpublished-weights`: the network was made from other weights than the published ones;
 * - `damaged-weights`: a file does not match its sidecar, cannot be read, or is missing beside it;
 * - `no-engine`: the native addon or ONNX Runtime cannot be loaded;
 * - `no-captions`: the metric compares with captions, and there are none;
 * - `too-few`: fewer samples than the metric is defined for;
 * - `too-small`: samples with fewer pixels or frames than the metric needs;
 * - `silent`: a sound of the baseline has no level to count from;
 * - `wrong-kind`: pictures where sound is needed, or the other way round, also sound of another rate.
 */
export type UnavailableCode =
  | 'no-weights'
  | 'unpublished-weights'
  | 'damaged-weights'
  | 'no-engine'
  | 'no-captions'
  | 'too-few'
  | 'too-small'
  | 'silent'
  | 'wrong-kind'

/** A metric that cannot be computed here, and why, in words. */
export interface Unavailable {
  readonly unavailable: { readonly code: UnavailableCode; readonly reason: string }
}

export const unavailable = (code: UnavailableCode, reason: string): Unavailable => ({ unavailable: { code, reason } })

/** The sidecar of a network in `folder`, its graphs checked by their sums; or why it cannot be used. */
export async function readNetwork<N extends NetworkName>(
  folder: string | undefined,
  name: N,
  allowUnpublished: boolean,
): Promise<Sidecar<N> | Unavailable> {
  const how = `python ${CONVERTERS[name]} makes it from the published weights.`
  if (folder === undefined) return unavailable('no-weights', `It needs the network "${name}", and ${NO_NETWORKS}; ${how}`)
  const path = join(folder, `${name}.json`)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (absent) return unavailable('no-weights', `It needs the network "${name}", and ${path} does not exist; ${how}`)
    return unavailable('damaged-weights', `${path} cannot be read: ${(error as Error).message}`)
  }
  const sidecar = parseSidecar(name, text)
  if (typeof sidecar === 'string') return unavailable('damaged-weights', `${path}: ${sidecar}; ${how}`)
  const foreign = allowUnpublished ? undefined : foreignSource(name, sidecar)
  if (foreign !== undefined) return unavailable('unpublished-weights', `${path}: ${foreign}; ${how}`)
  for (const { file, sha256: expected } of Object.values(sidecar.graphs)) {
    const found = await sumOf(join(folder, file))
    if (found !== expected)
      return unavailable('damaged-weights', `${join(folder, file)}: its sha256 is ${found}, not ${expected}; ${how}`)
  }
  return sidecar
}

/** Whether all of a network's weights are the published ones. */
export const isPublished = <N extends NetworkName>(sidecar: Sidecar<N>): boolean =>
  foreignSource(sidecar.network, sidecar) === undefined

function parseSidecar<N extends NetworkName>(name: N, text: string): Sidecar<N> | string {
  try {
    const result = v.safeParse(sidecars[name], JSON.parse(text))
    if (result.success) return result.output
    const [issue] = result.issues
    return `${issue.message} at ${pointerOf(issue)}`
  } catch (error) {
    return (error as Error).message
  }
}

/** What is wrong with the first part whose source is not a published file. */
function foreignSource(name: NetworkName, { sources }: { sources: Sidecar<NetworkName>['sources'] }): string | undefined {
  for (const [part, sums] of Object.entries(PUBLISHED[name])) {
    const source = Object.hasOwn(sources, part) ? sources[part] : undefined
    if (source === undefined) return `it does not say where its ${part} came from`
    if (!sums.includes(source.sha256))
      return `its ${part} came from ${source.file} with sha256 ${source.sha256}, not ${sums.join(' or ')}`
  }
  return undefined
}

/** The sha256 of a file, or the reason why it has none. */
async function sumOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
    return hash.digest('hex')
  } catch (error) {
    return `unknown (${(error as Error).message})`
  }
}
