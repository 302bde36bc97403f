import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pipFolders } from '../../ts/engines/pip.ts'
import { emptyFolder } from '../support/spawn.ts'

test('packages are those of the environment that is active, and where none is, not of the folder that a process starts in', () => {
  const folder = emptyFolder()
  const found = join(folder, 'lib', 'python3.12', 'site-packages', 'a_package_of_this_test')
  mkdirSync(found, { recursive: true })
  const [env, cwd] = [process.env, process.cwd()]
  const inEnvironment = (path: string): string[] => {
    process.env = { ...env, VIRTUAL_ENV: path, CONDA_PREFIX: '' }
    return pipFolders(['a_package_of_this_test'])
  }
  process.chdir(folder)
  try {
    assert.equal(inEnvironment(folder), [found])
    assert.equal(inEnvironment(''), [])
  } finally {
    process.chdir(cwd)
    process.env = env
  }
})

test.run()
