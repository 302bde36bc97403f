// Builds the addon for this machine with node-gyp, and puts it where the package carries it.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { putPrebuilt, root } from './prebuilt.mjs'

const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js')

/** Node's own headers where they are installed beside it, so that node-gyp need not download them. */
function headers() {
  const prefix = join(dirname(process.execPath), '..')
  return existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? [`--nodedir=${prefix}`] : []
}

function run(...args) {
  const { status, error } = spawnSync(process.execPath, [gyp, ...args, '--loglevel=warn'], { cwd: root, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

run('configure', ...headers())
run('build', '-j', String(cpus().length))
putPrebuilt(join(root, 'build', 'Release', 'sada.node'), `${process.platform}-${process.arch}`)
