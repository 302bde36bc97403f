import { existsSync, lstatSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { SadaError } from '../errors.ts'

const UNREAD: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'part of the path is a file, not a folder',
  EISDIR: 'that is a folder',
  EACCES: 'you may not read it',
}

/** Why a file cannot be read, in words. */
export const whyUnread = (error: unknown): string => reason(UNREAD, error)

const UNWRITTEN: Readonly<Record<string, string>> = {
  ENOTDIR: 'part of the path is a file, not a folder',
  ELOOP: 'its links lead in a circle',
  EACCES: 'you may not write there',
  EPERM: 'you may not write there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
}

/** What a system calls missing: the folder, that of a link, or in folders that are none of a disk, the file, which cannot be made. */
function missing(path: string): string {
  if (!existsSync(dirname(resolve(path)))) return 'its folder does not exist; make it first'
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return 'it is a link into a folder that does not exist'
  return 'no file can be made in its folder'
}

export function outputFailed(path: string, error: unknown, argument = 'output'): SadaError {
  const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? missing(path) : reason(UNWRITTEN, error)
  return new SadaError('OUTPUT_FAILED', `Cannot write ${path}: ${why}.`, { argument, cause: error })
}

function reason(words: Readonly<Record<string, string>>, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return words[code ?? ''] ?? message
}
