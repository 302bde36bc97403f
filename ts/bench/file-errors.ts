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
  ENOENT: 'its folder does not exist; make it first',
  ENOTDIR: 'part of the path is a file, not a folder',
  ELOOP: 'its links lead in a circle',
  EACCES: 'you may not write there',
  EPERM: 'you may not write there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
}

export function outputFailed(path: string, error: unknown, argument = 'output'): SadaError {
  return new SadaError('OUTPUT_FAILED', `Cannot write ${path}: ${reason(UNWRITTEN, error)}.`, { argument, cause: error })
}

function reason(words: Readonly<Record<string, string>>, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return words[code ?? ''] ?? message
}
