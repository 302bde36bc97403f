import { readFile } from 'node:fs/promises'
import { SadaError } from '../errors.ts'

/** A file of a model folder. Throws MODEL_NOT_FOUND. */
export async function readModelFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const hint =
      code === 'ENOENT' ? 'It does not exist; a model folder holds plan.json and the files it names.' : (error as Error).message
    throw new SadaError('MODEL_NOT_FOUND', `Cannot read ${path}. ${hint}`, { cause: error })
  }
}
