import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const root = join(__dirname, '..', '..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')

interface Lock {
  readonly packages: Record<string, { version: string; license?: string; dev?: boolean; resolved?: string }>
}
const { packages } = JSON.parse(read('package-lock.json')) as Lock

test('the notices list what is installed, under licences that ask for no more than their notice', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts', 'third-party-notices.mjs'), '--check'], {
    encoding: 'utf8',
  })
  assert.is(status, 0, stderr)
  for (const [, licence] of read('THIRD_PARTY_NOTICES.md').matchAll(/^\| \S+ \| \d\S+ \| (.*) \|$/gm)) {
    assert.ok(['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'Apache-2.0'].includes(licence), licence)
  }
})

test('the notices name the versions that are compiled in and carried', () => {
  for (const name of ['node-addon-api', 'onnxruntime-node']) {
    const { version } = packages[`node_modules/${name}`]
    assert.ok(read('THIRD_PARTY_NOTICES.md').includes(` ${version}, `), `${name} ${version}`)
  }
  const notices = readdirSync(join(root, 'licenses'))
  assert.equal(notices.sort(), ['onnxruntime-LICENSE', 'onnxruntime-ThirdPartyNotices.txt'])
})

test('package.json and the lock agree on exact versions; the lock names no registry', () => {
  const { version, dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, never> & {
    version: string
    dependencies: Record<string, string>
    devDependencies: Record<string, string>
  }
  assert.is(packages[''].version, version)
  for (const [name, wanted] of Object.entries({ ...dependencies, ...devDependencies })) {
    assert.is(packages[`node_modules/${name}`].version, wanted, name)
  }
  for (const [path, { resolved }] of Object.entries(packages)) assert.is(resolved, undefined, path)
})

test('models are verified after export in the ONNX Runtime that runs them', () => {
  const [, exporter] = /^onnxruntime==(.+)\.\*$/m.exec(read('models/export/requirements.txt')) ?? []
  assert.is(exporter, packages['node_modules/onnxruntime-node'].version.split('.').slice(0, 2).join('.'))
})

test('the changelog has an entry for this version', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string }
  assert.match(read('CHANGELOG.md'), new RegExp(`^## ${version.replaceAll('.', '\\.')} `, 'm'))
})

test.run()
