import { invalidArgument } from '../errors.ts'
import { Folder } from '../families/folder.ts'
import { TextTokenizer } from '../families/tokenizers.ts'
import { dot } from './matrix.ts'
import type { Network } from './networks.ts'
import { bytesOf, checkPictures, type PictureShape } from './picture.ts'
import { bicubicBytes } from './resize.ts'

// What CLIP's pictures are normalised by, in units of [0, 1] (Radford et al. 2021).
const MEAN = [0.48145466, 0.4578275, 0.40821073]
const STD = [0.26862954, 0.26130258, 0.27577711]
const BATCH = 8

export type ClipNetwork = Network<'clip-vit-b-32'> | Network<'clip-vit-l-14'>

/**
 * The cosine between CLIP's embeddings of each sample [3, height, width] in [−1, 1] and of its caption; from −1 to 1, in
 * practice 0.15 to 0.4. Pictures are read as bytes; captions longer than the encoder's tokens are cut, their end kept.
 */
export async function clipCosines(
  network: ClipNetwork,
  samples: readonly Float32Array[],
  shape: PictureShape,
  captions: readonly string[],
  signal?: AbortSignal,
): Promise<number[]> {
  checkPictures('samples', samples, shape)
  if (captions.length !== samples.length) throw invalidArgument('captions', `${samples.length}, one per sample`, captions.length)
  const tokenizer = await TextTokenizer.load(await Folder.open(network.folder), network.sidecar.tokenizer)
  const cosines: number[] = []
  for (let start = 0; start < samples.length; start += BATCH) {
    signal?.throwIfAborted()
    const pictures = await embedPictures(network, samples.slice(start, start + BATCH), shape)
    const texts = await embedTexts(network, tokenizer, captions.slice(start, start + BATCH))
    pictures.forEach((picture, k) => cosines.push(cosine(picture, texts[k])))
  }
  return cosines
}

/** torchmetrics' CLIPScore: 100 times the mean cosine, at least 0. The plain mean of the cosines is what other papers report. */
export const torchmetricsScore = (cosines: readonly number[]): number =>
  Math.max(0, (100 * cosines.reduce((sum, value) => sum + value, 0)) / cosines.length)

/** A sample as CLIP's image encoder reads it: the shorter side made `size` pixels, the middle square of that, normalised. */
export function clipPixels(sample: Float32Array, [, height, width]: PictureShape, size: number): Float32Array {
  const bytes = bytesOf(sample)
  const shorter = Math.min(height, width)
  const [rows, columns] = [height, width].map((side) => Math.floor((size * side) / shorter))
  const pixels = new Float32Array(3 * size * size)
  for (let c = 0; c < 3; c++) {
    const values = bytes.subarray(c * height * width, (c + 1) * height * width)
    const square = bicubicBytes({ height, width, values }, rows, columns, size).values
    for (let k = 0; k < square.length; k++) pixels[c * size * size + k] = (square[k] / 255 - MEAN[c]) / STD[c]
  }
  return pixels
}

async function embedPictures(
  network: ClipNetwork,
  samples: readonly Float32Array[],
  shape: PictureShape,
): Promise<Float64Array[]> {
  const { size, embedding } = network.sidecar
  const values = new Float32Array(samples.length * 3 * size * size)
  samples.forEach((sample, k) => values.set(clipPixels(sample, shape, size), k * 3 * size * size))
  const picture = { dims: [samples.length, 3, size, size], values }
  return rows(await network.run('image', { picture }, { embedding: [samples.length, embedding] }), embedding)
}

async function embedTexts(network: ClipNetwork, tokenizer: TextTokenizer, captions: readonly string[]): Promise<Float64Array[]> {
  const { length, embedding } = network.sidecar
  const values = Float32Array.from(captions.flatMap((caption) => tokenizer.encode(caption, length).ids))
  const ids = { dims: [captions.length, length], values }
  return rows(await network.run('text', { ids }, { embedding: [captions.length, embedding] }), embedding)
}

const rows = ({ embedding }: Record<string, Float32Array>, width: number): Float64Array[] =>
  Array.from({ length: embedding.length / width }, (_, k) => Float64Array.from(embedding.subarray(k * width, (k + 1) * width)))

function cosine(a: Float64Array, b: Float64Array): number {
  const product = (x: Float64Array, y: Float64Array): number => dot(x, 0, y, 0, x.length)
  return product(a, b) / Math.sqrt(product(a, a) * product(b, b))
}
