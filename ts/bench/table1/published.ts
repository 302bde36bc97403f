import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Published } from './result.ts'

const FILE = join(__dirname, '..', '..', '..', 'bench', 'published.json')

/** What authors report of their methods on their own models, by policy. */
export async function publishedFigures(): Promise<Readonly<Record<string, readonly Published[]>>> {
  const { policies } = JSON.parse(await readFile(FILE, 'utf8')) as { policies: Record<string, readonly Published[]> }
  return policies
}
