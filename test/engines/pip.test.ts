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

test('of several environments the virtual one comes first, then Conda’s, then the user’s; of each all of its Pythons', () => {
  const folder = emptyFolder()
  const [venv, conda, home] = ['venv', 'conda', 'home'].map((name) => join(folder, name))
  const made = (...parts: string[]): string => {
    mkdirSync(join(...parts), { recursive: true })
    return join(...parts)
  }
  const [first, second] = [
    made(venv, 'lib', 'python3.9', 'site-packages', 'one'),
    made(venv, 'lib', 'python3.13', 'site-packages', 'two'),
  ]
  // As on Windows.
  const third = made(conda, 'Lib', 'site-packages', 'one')
  const last = made(home, '.local', 'lib', 'python3.12', 'site-packages', 'two')
  for (const other of ['python2.7', 'other']) made(venv, 'lib', other, 'site-packages', 'one')
  const before = { ...process.env }
  Object.assign(process.env, { VIRTUAL_ENV: venv, CONDA_PREFIX: conda, HOME: home, USERPROFILE: home })
  try {
    const found = pipFolders(['one', 'two'])
    assert.equal([...found].sort(), [first, second, third, last].sort())
    assert.equal(found.slice(2), [third, last])
  } finally {
    process.env = before
  }
})

test.run()
