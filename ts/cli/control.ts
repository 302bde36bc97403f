import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchPrompt } from '../bench/prompts.ts'
import type { Terms } from '../bench/table1/journal.ts'
import { invalidArgument, inWords, SadaError } from '../errors.ts'
import type { Pixels } from '../families/family.ts'
import { readImage } from '../pipeline/image.ts'
import { resize } from '../pipeline/resize.ts'
import type { ControlArguments, PictureArguments } from './picture-options.ts'

/** How much ControlNets count, as `generate` takes it. Throws INVALID_ARGUMENT where there is none to count. */
export function controlShares({ control = [], controlStrength, controlStart, controlEnd }: ControlArguments) {
  const shares = { strength: controlStrength, start: controlStart, end: controlEnd }
  const idle = Object.entries(shares).find(([, value]) => value !== undefined)
  if (control.length === 0 && idle) throw invalidArgument('--control', `given with "--control-${idle[0]}"`, undefined)
  return shares
}

/** A picture file of the command line. Throws INVALID_ARGUMENT, with the path. */
export async function readPicture(option: string, path: string): Promise<Pixels> {
  const bytes = await readBytes(option, path)
  try {
    return await readImage(option, bytes)
  } catch (error) {
    if (!(error instanceof SadaError)) throw error
    throw new SadaError(error.code, `${path}: ${error.message}`, { argument: option, cause: error })
  }
}

async function readBytes(option: string, path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException
    const received = inWords(`${JSON.stringify(path)}: ${UNREAD[code] ?? `it cannot be read (${code})`}`)
    throw invalidArgument(option, 'a picture file', received)
  }
}

const UNREAD: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'that is a folder',
  EACCES: 'you may not read it',
}

/** What leads the ControlNets of a bench. */
export interface BenchControls {
  /** For the prompt at a place of the list. */
  at(index: number): Pick<BenchPrompt, 'control'>
  readonly terms: Pick<NonNullable<Terms['picture']>, 'control' | 'control_strength' | 'control_start' | 'control_end'>
}

/** Reads the pictures and brings them to the size of those that are made, `size` where no other is asked for. */
export async function benchControls(options: PictureArguments, size: readonly [number, number]): Promise<BenchControls> {
  const { width = size[0], height = size[1] } = options
  const shares = controlShares(options)
  const nets: (readonly Pixels[])[] = []
  const hash = createHash('sha256')
  for (const path of options.control ?? []) {
    const pictures: Pixels[] = []
    for (const file of await picturesIn(path)) pictures.push(resize(await readPicture('--control', file), width, height))
    for (const { data } of pictures) hash.update(data)
    nets.push(pictures)
  }
  if (nets.length === 0) return { at: () => ({}), terms: {} }
  const counts = nets.map((pictures) => pictures.length).join(' and ')
  return {
    at: (index) => ({ control: nets.map((pictures) => ({ image: pictures[index % pictures.length], ...shares })) }),
    terms: {
      control: `${counts} ${counts === '1' ? 'picture' : 'pictures'} (${hash.digest('hex').slice(0, 12)})`,
      ...Object.fromEntries(
        Object.entries(shares).flatMap(([name, value]) => (value === undefined ? [] : [[`control_${name}`, value]])),
      ),
    },
  }
}

const PICTURE = /^[^.].*\.(png|jpe?g)$/i

/** A file, or the pictures of a folder in the order of their names. */
async function picturesIn(path: string): Promise<string[]> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false
  if (!isFolder) return [path]
  const entries = await readdir(path, { withFileTypes: true })
  // Systems put files of their own beside pictures, whose names begin with a dot.
  const files = entries.flatMap((each) => (!each.isDirectory() && PICTURE.test(each.name) ? each.name : [])).sort()
  if (files.length === 0) throw invalidArgument('--control', 'a picture, or a folder of PNG or JPEG files', path)
  return files.map((name) => join(path, name))
}
