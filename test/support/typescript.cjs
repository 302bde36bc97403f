// Preloaded (`node --require`) where a test runs. Its own TypeScript is transpiled as it is required; a module of ts/ is taken from dist/, where
// `npm run build` has compiled it: tests run what is shipped, and a process starts in half of the time.
require('tsx/cjs')
const Module = require('node:module')
const { join, sep } = require('node:path')

const root = join(__dirname, '..', '..')
const [source, built] = ['ts', 'dist'].map((folder) => join(root, folder) + sep)

const resolve = Module._resolveFilename
Module._resolveFilename = function (...request) {
  const file = resolve.apply(this, request)
  return file.startsWith(source) && file.endsWith('.ts') ? built + file.slice(source.length, -'ts'.length) + 'js' : file
}
