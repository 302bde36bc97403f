import { constants, realpathSync, rmdirSync, unlinkSync } from 'node:fs'
import { open, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { outputFailed } from '../bench/file-errors.ts'
import { makeFolder } from '../engines/folder.ts'
import { invalidArgument, SadaError } from '../errors.ts'
import { replaceFile } from './replacement.ts'

/**
 * A file that a result will be written to, opened before the work begins so that an unwritable place costs nothing. What was
 * there is kept until the result is written.
 */
export class OutputFile {
  readonly path: string
  /** Whether only this made the file, and nothing is in it yet. */
  private made: boolean
  /** Folders that were made for it, outermost first. */
  private readonly folders: readonly string[]

  private constructor(path: string, made: boolean, folders: readonly string[] = []) {
    this.path = path
    this.made = made
    this.folders = folders
    unreleased.add(this)
  }

  /** Reserves a path, overwriting what may be there later. Throws INVALID_ARGUMENT, OUTPUT_FAILED. `folders`: also makes missing folders. */
  static async reserve(path: string, { folders = false } = {}): Promise<OutputFile> {
    if (path === '') throw invalidArgument('output', 'the name of a file', path)
    try {
      const made = folders ? await makeFolder(dirname(resolve(path))) : []
      const before = await stat(path).catch(() => undefined)
      if (before?.isDirectory()) throw new Error('it is a folder; name a file')
      // Who reads a pipe goes when it is closed: it is opened once, for the result.
      if (before?.isFIFO()) return new OutputFile(path, false, made)
      const handle = await open(path, constants.O_WRONLY | constants.O_CREAT)
      await handle.close()
      return new OutputFile(path, before === undefined, made)
    } catch (error) {
      throw outputFailed(path, error)
    }
  }

  /** Reserves all of them, or, where one cannot be written, none. Throws OUTPUT_FAILED. */
  static async reserveAll(wanted: readonly { readonly path: string; readonly folders: boolean }[]): Promise<OutputFile[]> {
    const reserved: OutputFile[] = []
    try {
      for (const { path, folders } of wanted) reserved.push(await OutputFile.reserve(path, { folders }))
      return reserved
    } catch (error) {
      OutputFile.releaseAll(reserved)
      throw error
    }
  }

  /** Takes back what reserving has made, last first: a folder that was made for one may hold others. */
  static releaseAll(reserved: readonly OutputFile[]): void {
    for (const file of [...reserved].reverse()) file.release()
  }

  /** Reserves the first path of `candidates` that does not exist yet. Throws OUTPUT_FAILED. */
  static async reserveNew(candidates: Iterable<string>): Promise<OutputFile> {
    let last = ''
    for (const path of candidates) {
      last = path
      try {
        await (await open(path, 'wx')).close()
        return new OutputFile(path, true)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw outputFailed(path, error)
      }
    }
    throw new SadaError('OUTPUT_FAILED', `Every name up to ${last} is taken: name a file with --output.`, { argument: 'output' })
  }

  /** Throws OUTPUT_FAILED; what was there before is there still, if that can be. A pipe is waited for until `signal` aborts. */
  async write(data: string | Uint8Array, signal?: AbortSignal): Promise<void> {
    try {
      const reader = await readerOf(this.path, signal)
      try {
        if (this.made || !(await replaceFile(this.path, data))) await writeFile(this.path, data)
      } finally {
        await reader?.close()
      }
      this.made = false
      unreleased.delete(this)
    } catch (error) {
      if (error === signal?.reason) throw error
      throw outputFailed(this.path, error)
    }
  }

  /** Takes back what reserving has made; folders that hold anything else stay. At once, so that it can be done when the process ends. */
  release(): void {
    unreleased.delete(this)
    // A link that led nowhere was there before; what it leads to was not.
    if (this.made) quietly(() => unlinkSync(realpathSync(this.path)))
    for (const folder of [...this.folders].reverse()) quietly(() => rmdirSync(folder))
  }
}

/** Reserved, and not written yet. */
const unreleased = new Set<OutputFile>()
// The process may be ended in the middle, as by a second Ctrl-C.
process.once('exit', () => OutputFile.releaseAll([...unreleased]))

/** What is gone already, or holds anything else, is left. */
function quietly(remove: () => void): void {
  try {
    remove()
  } catch {
    // Nothing depends on it.
  }
}

/** Where a path is a pipe, waits until something reads it, as opening it would, but so that the process can be ended meanwhile; and keeps that. */
async function readerOf(path: string, signal?: AbortSignal): Promise<FileHandle | undefined> {
  if (!(await stat(path).catch(() => undefined))?.isFIFO()) return undefined
  for (;;) {
    const opened = await open(path, constants.O_WRONLY | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENXIO') throw error
    })
    if (opened) return opened
    await setTimeout(LOOK_MS)
    signal?.throwIfAborted()
  }
}

const LOOK_MS = 50
