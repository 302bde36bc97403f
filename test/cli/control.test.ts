import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { BenchResult } from '../../ts/bench/result.ts'
import type { TableResult } from '../../ts/bench/table1/result.ts'
import { benchControls } from '../../ts/cli/control.ts'
import type { SadaError } from '../../ts/errors.ts'
import type { Pixels } from '../../ts/families/family.ts'
import { familyFolder } from '../support/families.ts'
import { emptyFolder, run } from '../support/spawn.ts'

/** What leads the ControlNets of a bench. */

async function grey(path: string, value: number, [width, height] = [32, 32]): Promise<void> {
  const { encode } = await import('fast-png')
  const data = new Uint8Array(width * height * 3).fill(value)
  writeFileSync(path, encode({ width, height, data, channels: 3, depth: 8 }))
}

/** A folder with three pictures and a file that is none. */
async function edges(): Promise<string> {
  const cwd = emptyFolder()
  mkdirSync(join(cwd, 'edges'))
  for (const [name, value] of Object.entries({ 'c.PNG': 30, 'a.png': 10, 'b.png': 20 }))
    await grey(join(cwd, 'edges', name), value)
  for (const other of ['notes.txt', '._a.png', '.png']) writeFileSync(join(cwd, 'edges', other), 'not a picture')
  mkdirSync(join(cwd, 'edges', 'folder.png'))
  await grey(join(cwd, 'one.png'), 99, [50, 40])
  return cwd
}

test('prompts take a folder’s pictures in the order of their names, from the front again; every ControlNet has its own', async () => {
  const cwd = await edges()
  const options = { control: [join(cwd, 'edges'), join(cwd, 'one.png')], controlStrength: 0.5, controlEnd: 0.8 }
  const { at, terms } = await benchControls(options, [16, 24])
  const values = (index: number): number[] =>
    at(index).control!.map(({ image, strength, start, end }) => {
      const { width, height, data } = image as Pixels
      assert.equal([width, height, strength, start, end], [16, 24, 0.5, undefined, 0.8])
      return data[0]
    })
  assert.equal([0, 1, 2, 3, 100].map(values), [
    [10, 99],
    [20, 99],
    [30, 99],
    [10, 99],
    [20, 99],
  ])
  assert.match(terms.control!, /^3 and 1 pictures \([0-9a-f]{12}\)$/)
  assert.equal([terms.control_strength, terms.control_start, terms.control_end], [0.5, undefined, 0.8])
  const asked = await benchControls({ ...options, width: 32, height: 8 }, [16, 24])
  assert.equal((asked.at(0).control![0].image as Pixels).data.length, 32 * 8 * 3)
  const one = (value: number, more = {}) =>
    grey(join(cwd, 'one.png'), value).then(() => benchControls({ control: [join(cwd, 'one.png')], ...more }, [16, 24]))
  const [first, other, again] = [await one(1), await one(2), await one(1, { controlStart: 0 })].map((each) => each.terms)
  assert.match(first.control!, /^1 picture \([0-9a-f]{12}\)$/)
  assert.is.not(first.control, other.control)
  assert.equal(again, { ...first, control_start: 0 })
  const none = await benchControls({}, [16, 24])
  assert.equal([none.at(0), none.terms], [{}, {}])
})

test('a path that holds no picture is named, and so is a strength with nothing to count', async () => {
  const cwd = await edges()
  mkdirSync(join(cwd, 'empty'))
  for (const [options, message] of [
    [{ control: [join(cwd, 'empty')] }, /"--control" to be a picture, or a folder of PNG or JPEG files, received ".*empty"/],
    [{ control: [join(cwd, 'missing')] }, /"--control" to be a picture file, received ".*missing": there is no such file\./],
    [{ control: [join(cwd, 'edges', 'notes.txt')] }, /edges.notes\.txt: Expected "--control" to be a PNG or JPEG file/],
    [{ controlStart: 0.5 }, /"--control" to be given with "--control-start"/],
  ] as const) {
    const error: unknown = await benchControls(options, [16, 16]).catch((e: unknown) => e)
    assert.is((error as SadaError).code, 'INVALID_ARGUMENT')
    assert.match((error as SadaError).message, message)
  }
})

test('sada-bench leads each picture of a batch by its own', async () => {
  const cwd = await edges()
  writeFileSync(join(cwd, 'prompts.txt'), 'a cat\n')
  const bench = ['-m', familyFolder('sd2-controlnet'), '--prompts', 'prompts.txt', '--samples', '2', '--scheduler', 'euler']
  const asked = [...bench, '--steps', '9', '--quick', '--policy', 'every-n:n=2,warmup=3', '--json', '-']
  const figures = async (...more: string[]): Promise<BenchResult> => {
    const { code, stdout, stderr } = await run('sada-bench', [...asked, ...more], cwd)
    assert.is(code, 0, stderr)
    return JSON.parse(stdout) as BenchResult
  }
  const [both, alone] = [await figures('--control', 'edges', '--batch', '2'), await figures('--control', 'edges')]
  assert.match(both.model.control!, /^3 pictures/)
  assert.equal(both.cases[0].fidelity, alone.cases[0].fidelity)
  const other = await figures('--control', 'one.png', '--control-strength', '2')
  assert.is(other.model.control_strength, 2)
  assert.not.equal(other.cases[0].fidelity, alone.cases[0].fidelity)
})

test('table1: runs that other pictures led do not belong with them', async () => {
  const cwd = await edges()
  writeFileSync(join(cwd, 'prompts.txt'), 'a cat\na dog\n')
  const model = ['-m', familyFolder('sd2-controlnet'), '--prompts', 'prompts.txt', '--samples', '2', '--scheduler', 'euler']
  const asked = [...model, '--steps', '9', '--policy', 'every-n', '--resume', 'r.jsonl', '--json', '-']
  const { code, stdout, stderr } = await run('sada-bench', ['table1', ...asked, '--control', 'edges'], cwd)
  assert.is(code, 0, stderr)
  assert.match((JSON.parse(stdout) as TableResult).picture!.control!, /^3 pictures/)
  for (const more of [[], ['--control', 'one.png'], ['--control', 'edges', '--control-end', '0.5']]) {
    const refused = await run('sada-bench', ['table1', ...asked, ...more], cwd)
    assert.equal([refused.code, refused.stdout], [2, ''])
    assert.match(refused.stderr, /do not belong together: .* control 3 pictures/)
  }
  const idle = await run('sada-bench', ['table1', '--resume', 'r.jsonl', '--report-only', '--control', 'edges'], cwd)
  assert.match(idle.stderr, /"--control" to be left out with --report-only/)
})

test('sada calibrate measures what is asked for: with these pictures, in this size', async () => {
  const cwd = await edges()
  writeFileSync(join(cwd, 'prompts.txt'), 'a cat\n')
  const model = ['-m', familyFolder('sd2-controlnet'), '--prompts', 'prompts.txt', '--samples', '1', '--steps', '6', '--json']
  const ratios = async (...more: string[]): Promise<number[]> => {
    const { code, stdout, stderr } = await run('sada', ['calibrate', 'magcache', ...model, ...more], cwd)
    assert.is(code, 0, stderr)
    return (JSON.parse(stdout) as { ratios: number[] }).ratios
  }
  const plain = await ratios()
  assert.not.equal(await ratios('--control', 'edges'), plain)
  assert.not.equal(await ratios('--width', '48'), plain)
  const odd = await run('sada', ['calibrate', 'magcache', ...model, '--height', '31'], cwd)
  assert.equal([odd.code, odd.stdout], [2, ''])
  const { error } = JSON.parse(odd.stderr) as { error: { argument: string; message: string } }
  assert.is(error.argument, '--height')
  assert.match(error.message, /^Expected "--height" to be a multiple of/)
})

test.run()
