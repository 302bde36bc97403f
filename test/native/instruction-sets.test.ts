import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'
import { runScript } from '../support/child.ts'

const root = join(__dirname, '..', '..')
const objects = join(root, 'build', 'Release', 'obj.target')

function hashWith(cpu: string): { instructionSet: string; hash: string } {
  const { stdout, stderr, status } = runScript(join(root, 'test', 'support', 'hash-steps.ts'), { env: { SADA_CPU: cpu } })
  assert.is(status, 0, stderr)
  return JSON.parse(stdout)
}

test('every instruction set gives the same bits', () => {
  const best = hashWith('')
  const scalar = hashWith('scalar')
  assert.is(scalar.instructionSet, 'scalar')
  assert.is(best.instructionSet, loadAddon().instructionSet)
  assert.is(best.hash, scalar.hash)
  if (best.instructionSet === 'scalar') console.log('only the scalar steps run on this processor')
})

function tool(command: string, ...args: string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 28 })
  return status === 0 ? stdout : undefined
}

test('no AVX instruction and no shared symbol leaks from the x86-64-v3 object into the portable ones', () => {
  const portable = ['native/cpu/step_scalar.o', 'native/cpu/cpu.o', 'native/bind/workspace.o'].map((file) =>
    join(objects, 'sada', file),
  )
  const wide = join(objects, 'sada_step_x86_64_v3', 'native', 'cpu', 'step_x86_64_v3.o')
  if (!existsSync(wide) || tool('objdump', '--version') === undefined)
    return console.log('skipped: no objects of a build here, or no objdump')
  for (const file of portable) assert.not.match(tool('objdump', '-d', '--no-show-raw-insn', file)!, /%ymm|\bvfmadd/, file)
  assert.match(tool('objdump', '-d', '--no-show-raw-insn', wide)!, /%ymm/)
  // A weak symbol of this object might be the one that the linker keeps for every caller.
  const weak = tool('nm', '--defined-only', wide)!
    .split('\n')
    .filter((line) => / [WVu] /.test(line))
  assert.equal(weak, [])
})

test.run()
