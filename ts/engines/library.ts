import { existsSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { invalidArgument, SadaError } from '../errors.ts'
import { asSadaError, loadAddon } from '../native/load.ts'
import type { TensorRtBuilder } from '../native/types.ts'
import { pipFolders } from './pip.ts'

/** File names of the library and its parser, in the order they are tried. */
const NAMES: readonly { readonly library: string; readonly parser: string }[] =
  process.platform === 'win32'
    ? [
        { library: 'tensorrt_rtx_1.dll', parser: 'tensorrt_onnxparser_rtx_1.dll' },
        { library: 'nvinfer_11.dll', parser: 'nvonnxparser_11.dll' },
        { library: 'nvinfer_10.dll', parser: 'nvonnxparser_10.dll' },
      ]
    : [
        { library: 'libnvinfer.so.11', parser: 'libnvonnxparser.so.11' },
        { library: 'libnvinfer.so.10', parser: 'libnvonnxparser.so.10' },
        { library: 'libtensorrt_rtx.so.1', parser: 'libtensorrt_onnxparser_rtx.so.1' },
      ]

/** Subfolders of Python's site-packages in which pip puts the libraries. */
const PIP_PACKAGES = ['tensorrt_rtx_libs', 'tensorrt_libs']

/**
 * Opens TensorRT or TensorRT for RTX: `path` (the library, or its folder), `SADA_TENSORRT_PATH`, `TENSORRT_ROOT`, the folders of pip's
 * packages, and last what the system's loader finds. Throws BACKEND_UNAVAILABLE with every place that was tried, INVALID_ARGUMENT for a file that is
 * none of its libraries.
 */
export function openTensorRt(path?: string): TensorRtBuilder {
  const failures: string[] = []
  const addon = loadAddon()
  for (const { library, parser } of candidates(path)) {
    const isName = basename(library) === library
    if (!isName && !existsSync(library)) {
      failures.push(`  ${library}: does not exist`)
      continue
    }
    try {
      return new addon.TensorRtBuilder({ library, parser })
    } catch (error) {
      failures.push(`  ${library}: ${(asSadaError(error) as Error).message}`)
    }
  }
  throw new SadaError(
    'BACKEND_UNAVAILABLE',
    `TensorRT could not be opened. Tried:\n${failures.join('\n')}\n` +
      'Set SADA_TENSORRT_PATH to libnvinfer or libtensorrt_rtx (pip install "tensorrt-rtx-cu13-libs<1.8" brings the latter), or to its folder.',
  )
}

function candidates(path: string | undefined): { library: string; parser: string }[] {
  const named = path ?? process.env.SADA_TENSORRT_PATH
  if (named) {
    const whole = resolve(named) // the system's loader looks for a bare name elsewhere
    return statSync(whole, { throwIfNoEntry: false })?.isFile() ? [withParser(whole)] : inFolder(whole)
  }
  const root = process.env.TENSORRT_ROOT
  const folders = [...(root ? [join(root, 'lib'), join(root, 'bin')] : []), ...pipFolders(PIP_PACKAGES)]
  return [...folders.flatMap(inFolder), ...NAMES]
}

/** The libraries in a folder; where there is none, where they would be. */
function inFolder(folder: string): { library: string; parser: string }[] {
  const all = NAMES.map(({ library, parser }) => ({ library: join(folder, library), parser: join(folder, parser) }))
  const present = all.filter(({ library }) => existsSync(library))
  return present.length > 0 ? present : all
}

/** A library by its name or its full version's, `libnvinfer.so.11.2.0`. Throws INVALID_ARGUMENT for another one. */
function withParser(library: string): { library: string; parser: string } {
  const file = basename(library)
  const found = NAMES.find((each) => file === each.library || file.startsWith(`${each.library}.`))
  if (found) return { library, parser: join(dirname(library), found.parser) }
  const expected = `TensorRT's folder, or a file named ${NAMES.map((each) => each.library).join(', ')}`
  throw invalidArgument('tensorrt', expected, library, 'It comes from "--tensorrt" or SADA_TENSORRT_PATH.')
}
