// Which versions of a library's symbols a program for Linux asks for: what a machine has to have at least.
import { readFileSync } from 'node:fs'

const newest = (a, b) => {
  const [x, y] = [a, b].map((version) => version.split('.').map(Number))
  const at = x.findIndex((n, k) => n !== (y[k] ?? 0))
  return at < 0 ? b : x[at] > (y[at] ?? 0) ? a : b
}

/** The newest version that any of the files names, `2.34` of `GLIBC` say, and which of them do; undefined where none does. */
export function newestVersion(library, files) {
  const found = files.flatMap((file) => {
    const versions = [...readFileSync(file, 'latin1').matchAll(new RegExp(`\\0${library}_(\\d+(?:\\.\\d+)+)(?=\\0)`, 'g'))]
    return versions.length > 0 ? [{ file, version: versions.map(([, version]) => version).reduce(newest) }] : []
  })
  if (found.length === 0) return undefined
  const version = found.map((each) => each.version).reduce(newest)
  return { version, files: found.filter((each) => each.version === version).map(({ file }) => file) }
}
