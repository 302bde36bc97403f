import { readFile } from 'node:fs/promises'
import { SadaError } from '../../errors.ts'
import { whyUnread } from '../file-errors.ts'
import type { BenchPrompt } from '../prompts.ts'

/** A prompt with its place in the whole list, from which its seed follows whatever the slice. */
export interface NumberedPrompt extends BenchPrompt {
  readonly index: number
}

/** The k-th of n slices, 1-based. Prompts of one rank stay together, one of each kind, so that every slice is as even as the whole. */
export function slice(prompts: readonly NumberedPrompt[], k: number, n: number): NumberedPrompt[] {
  const seen = new Map<string, number>()
  return prompts.filter(({ kind }) => {
    const rank = seen.get(kind) ?? 0
    seen.set(kind, rank + 1)
    return rank % n === k - 1
  })
}

/**
 * `captions_val2017.json`: the first caption of each picture, in the order of the file's `images`. Throws INVALID_ARGUMENT where the file
 * is something else.
 */
export async function cocoPrompts(path: string, samples: number): Promise<BenchPrompt[]> {
  const fail = (why: string, cause?: unknown): never => {
    throw new SadaError('INVALID_ARGUMENT', `Cannot read captions from ${path}: ${why}.`, { argument: 'coco', cause })
  }
  const text = await readFile(path, 'utf8').catch((error: unknown) => fail(whyUnread(error), error))
  let parsed: unknown
  try {
    parsed = JSON.parse(text.replace(/^\ufeff/, ''))
  } catch (error) {
    return fail((error as Error).message, error)
  }
  const { images, annotations } = (parsed ?? {}) as { images?: unknown; annotations?: unknown }
  if (!Array.isArray(images) || !Array.isArray(annotations)) return fail('expected an object with "images" and "annotations"')
  const first = new Map<unknown, string>()
  for (const each of annotations as ({ image_id?: unknown; caption?: unknown } | null)[]) {
    const { image_id: image, caption } = each ?? {}
    if (typeof caption === 'string' && caption.trim() !== '' && !first.has(image)) first.set(image, caption.trim())
  }
  const captions = (images as ({ id?: unknown } | null)[]).flatMap((image) => first.get(image?.id) ?? [])
  if (captions.length < samples) return fail(`it has captions of ${captions.length} pictures, and ${samples} are asked for`)
  return captions.slice(0, samples).map((prompt) => ({ prompt, kind: 'coco' }))
}
