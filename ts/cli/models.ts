import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unknownName } from '../errors.ts'
import { bundledModels, findModel } from '../pipeline/model-folder.ts'
import { loadManifest } from '../plan/model.ts'
import { coloursFor, wrapped } from './terminal.ts'

const EXAMPLES = 3

/** What `sada models` prints: the bundled models, or those of these names, with their grammar and examples. Throws UNKNOWN_NAME. */
export async function models(names: readonly string[], json: boolean): Promise<string> {
  const bundled = bundledModels()
  const unknown = names.find((name) => !bundled.includes(name))
  if (unknown !== undefined) throw unknownName('model', unknown, bundled, 'names')
  const all = await Promise.all((names.length === 0 ? bundled : [...new Set(names)]).map(describe))
  return json ? JSON.stringify(all, undefined, 2) + '\n' : all.map(asText).join('\n')
}

async function describe(model: string) {
  const folder = await findModel(model)
  const { name, description, license, latents, text, stages, defaults, schedulers, prompts, grammar } = await loadManifest(folder)
  const byKind =
    prompts === undefined ? {} : (JSON.parse(await readFile(join(folder, prompts), 'utf8')) as Record<string, string[]>)
  return {
    name,
    description,
    license,
    width: latents[2],
    height: latents[1],
    bytes: [text, ...stages].reduce((sum, part) => sum + part.bytes, 0),
    longest_prompt: text.length,
    schedulers: Object.keys(schedulers),
    defaults,
    grammar: grammar ?? null,
    examples: Object.values(byKind)
      .reverse()
      .flatMap((kind) => kind.slice(0, EXAMPLES)),
    folder,
  }
}

function asText(model: Awaited<ReturnType<typeof describe>>): string {
  const { bold, dim, cyan } = coloursFor(process.stdout)
  const { defaults } = model
  const others = model.schedulers.filter((name) => name !== defaults.scheduler)
  const facts: [string, string][] = [
    ['pictures', `${model.width}×${model.height}, ${(model.bytes / 1e6).toFixed(1)} MB of weights`],
    [
      'defaults',
      `${defaults.scheduler}, ${defaults.steps} steps, guidance ${defaults.guidance_scale}; also ${others.join(', ')}`,
    ],
    ['licence', wrapped(model.license, 12)],
    ['prompts', `up to ${model.longest_prompt} words and commas`],
  ]
  return [
    `${bold(model.name)}  ${wrapped(model.description, model.name.length + 2)}`,
    '',
    ...facts.map(([name, value]) => `  ${dim(name.padEnd(10))}${value}`),
    ...(model.grammar === null ? [] : ['', `  ${bold('What a prompt can say')}`, ...grammarLines(model.grammar, 4, cyan)]),
    '',
    `  ${bold('Examples')}`,
    ...model.examples.map((prompt) => `    sada ${wrapped(`"${prompt}"`, 9)}`),
    '',
  ].join('\n')
}

/** A model's grammar is free-form: texts, lists of words, and groups of those. */
function grammarLines(grammar: unknown, indent: number, mark: (text: string) => string): string[] {
  const margin = ' '.repeat(indent)
  if (typeof grammar !== 'object' || grammar === null) return [margin + wrapped(String(grammar), indent)]
  return Object.entries(grammar).flatMap(([name, value]: [string, string | number | object | null]) => {
    if (Array.isArray(value)) return [`${margin}${mark(name)}: ${wrapped(value.join(', '), indent + 2)}`]
    if (typeof value === 'object') return [`${margin}${mark(name)}`, ...grammarLines(value, indent + 2, mark)]
    return [`${margin}${mark(name)}: ${wrapped(String(value), indent + 2)}`]
  })
}
