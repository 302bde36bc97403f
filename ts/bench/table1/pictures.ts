import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SadaError } from '../../errors.ts'
import { Picture, readImage, toPicture } from '../../pipeline/image.ts'
import type { BenchModel } from '../model.ts'
import type { Run } from './journal.ts'

type Named = Pick<Run, 'scheduler' | 'guidance' | 'kind' | 'index' | 'method' | 'steps'>

/** The folder in which a journal's pictures are kept. */
export const picturesOf = (journal: string): string => journal.replace(/\.jsonl$/, '') + '.pictures'

/** Most file systems take 255 bytes; what a calibration has measured makes a policy longer. */
const LONGEST_NAME = 100

/** Names of kinds and schedulers come from files: none of them may lead out of the folder. Of long ones the beginning and a hash. */
function safe(name: string): string {
  const plain = name.replaceAll(/[^\w.=,+-]/g, '_').replace(/^\.+/, '_')
  if (plain.length <= LONGEST_NAME) return plain
  return `${plain.slice(0, 64)}-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`
}

const fileOf = ({ scheduler, guidance, kind, index, method, steps }: Named): string =>
  join(safe(scheduler), `g${guidance}`, safe(`${kind}-${index}`), `${safe(`${method}-${steps}`)}.png`)

/** The pictures of finished runs as 8-bit files, for the report and for metrics that look at files. */
export class Pictures {
  private readonly folders: readonly string[]

  /** New pictures go to the first folder. */
  constructor(folders: readonly string[]) {
    this.folders = folders
  }

  /** Throws OUTPUT_FAILED. */
  async keep(run: Named, sample: Float32Array, { shape, range }: Pick<BenchModel, 'shape' | 'range'>): Promise<void> {
    const path = join(this.folders[0], fileOf(run))
    const png = await toPicture(sample, shape, range).png()
    try {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, png)
    } catch (error) {
      const message = `Cannot keep a picture in ${this.folders[0]}: ${(error as Error).message}.`
      throw new SadaError('OUTPUT_FAILED', message, { argument: 'resume', cause: error })
    }
  }

  /** undefined: it was not kept. Throws INVALID_ARGUMENT, with the path, for a file that is no picture. */
  async find(run: Named): Promise<Picture | undefined> {
    for (const folder of this.folders) {
      const path = join(folder, fileOf(run))
      const file = await readFile(path).catch(() => undefined)
      if (file === undefined) continue
      const { width, height, data } = await readImage('picture', new Uint8Array(file)).catch((error: SadaError) => {
        throw new SadaError(error.code, `${path}: ${error.message} Delete it to go on without.`, {
          argument: 'resume',
          cause: error,
        })
      })
      return new Picture(width, height, new Uint8Array(data))
    }
    return undefined
  }
}
