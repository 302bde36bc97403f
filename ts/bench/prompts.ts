import { isUtf8 } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SadaError } from '../errors.ts'
import { isStaged } from '../pipeline/model-folder.ts'
import type { ControlOptions, GenerateOptions, ImageInput } from '../pipeline/options.ts'
import { loadManifest } from '../plan/model.ts'
import { whyUnread } from './file-errors.ts'

/** A prompt and the kind it is reported under: the model's `full` and `short` examples, or `given`. */
export interface BenchPrompt {
  readonly prompt: string
  readonly kind: string
  /** What leads the model's ControlNets at this prompt. */
  readonly control?: readonly (Omit<ControlOptions, 'image'> & { readonly image: ImageInput })[]
}

/** The prompts of a call with what leads their ControlNets, as `generate` takes them. */
export function requestOf(prompts: readonly BenchPrompt[]): Pick<GenerateOptions, 'prompt' | 'control'> {
  const control = prompts[0].control?.map((lead, net) => ({ ...lead, image: prompts.map((each) => each.control![net].image) }))
  return { prompt: prompts.map(({ prompt }) => prompt), ...(control && { control }) }
}

type PromptsByKind = Readonly<Record<string, readonly string[]>>

/** `samples` of the model's own example prompts, the kinds taking turns. */
export async function modelPrompts(folder: string, samples: number): Promise<BenchPrompt[]> {
  const { prompts } = isStaged(folder) ? await loadManifest(folder) : {}
  if (prompts === undefined) {
    throw new SadaError('INVALID_ARGUMENT', `The model in ${folder} has no example prompts: give some with --prompts FILE.`, {
      argument: 'prompts',
    })
  }
  return take(await readPrompts(join(folder, prompts)), samples)
}

/** `samples` prompts of a file: one on each line, or JSON, an array or an object of arrays by kind. */
export async function filePrompts(path: string, samples: number): Promise<BenchPrompt[]> {
  return take(await readPrompts(path), samples)
}

/** Kinds take turns, so that any number of samples is as even as can be; prompts repeat, with other seeds, where they run out. */
function take(byKind: PromptsByKind, samples: number): BenchPrompt[] {
  const kinds = Object.keys(byKind)
  return Array.from({ length: samples }, (_, k) => {
    const kind = kinds[k % kinds.length]
    return { kind, prompt: byKind[kind][Math.floor(k / kinds.length) % byKind[kind].length] }
  })
}

async function readPrompts(path: string): Promise<PromptsByKind> {
  const fail = (why: string, cause?: unknown): never => {
    throw new SadaError('INVALID_ARGUMENT', `Cannot read prompts from ${path}: ${why}.`, { argument: 'prompts', cause })
  }
  const bytes = await readFile(path).catch((error: unknown) => fail(whyUnread(error), error))
  // Windows' tools write UTF-16, of which a model would be given something.
  if (!isUtf8(bytes)) return fail('it is not text in UTF-8; save it as such')
  // As some editors begin a file.
  const text = bytes.toString().replace(/^\ufeff/, '')
  const byKind = /^\s*[[{]/.test(text) ? fromJson(text, fail) : { given: lines(text) }
  const filled = Object.entries(byKind).filter(([, prompts]) => prompts.length > 0)
  return filled.length > 0 ? Object.fromEntries(filled) : fail('it holds no prompt; write one on each line')
}

const lines = (text: string): string[] =>
  text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))

function fromJson(text: string, fail: (why: string, cause?: unknown) => never): PromptsByKind {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    return fail((error as Error).message, error)
  }
  const byKind = Array.isArray(parsed) ? { given: parsed } : (parsed as Record<string, unknown>)
  const fits = Object.values(byKind).every((all) => Array.isArray(all) && all.every((prompt) => typeof prompt === 'string'))
  return fits ? (byKind as PromptsByKind) : fail('expected a JSON array of strings, or an object of such arrays')
}
