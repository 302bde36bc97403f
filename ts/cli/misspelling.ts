import { stat } from 'node:fs/promises'
import { nearestName, SadaError } from '../errors.ts'

/** The command that a prompt of one word is nearly the name of. */
export const meantBy = (prompt: string, commands: readonly string[]): string | undefined =>
  /^\S+$/.test(prompt) ? nearestName(prompt, commands) : undefined

/** Refuses what was meant for `info`: the one command that takes a picture, which is there. Throws UNKNOWN_NAME. */
export async function refuseMisspelt(words: readonly string[], commands: readonly string[]): Promise<void> {
  const [first, file] = words
  if (words.length !== 2 || !/\.png$/i.test(file) || meantBy(first, commands) !== 'info') return
  const isFile = (await stat(file).catch(() => undefined))?.isFile() ?? false
  if (isFile) throw unknown(first, `info ${file}`, ' As a prompt it is one argument, in quotation marks.')
}

/** The error of a prompt that is no word of the model, and nearly a command. */
export const unknown = (name: string, meant: string, hint = ''): SadaError =>
  new SadaError('UNKNOWN_NAME', `Unknown command "${name}". Did you mean "sada ${meant}"?${hint}`, { argument: 'prompt' })
