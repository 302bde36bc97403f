// typescript.cjs where tests are transpiled beforehand (scripts/test-prebuilt.mjs), for a platform that no transpiler is installed for.
const Module = require('node:module')
const { readFileSync, realpathSync } = require('node:fs')
const { join, sep } = require('node:path')

const [source, built] = ['ts', 'dist'].map((folder) => realpathSync(join(__dirname, '..', '..', folder)) + sep)

const resolve = Module._resolveFilename
Module._resolveFilename = function (...request) {
  const file = resolve.apply(this, request)
  return file.startsWith(source) && file.endsWith('.ts') ? built + file.slice(source.length, -'ts'.length) + 'js' : file
}
// Under its own name each file holds what it was transpiled to.
Module._extensions['.ts'] = (module, file) => module._compile(readFileSync(file, 'utf8'), file)
