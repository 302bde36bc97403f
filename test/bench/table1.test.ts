import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Journal, readJournals } from '../../ts/bench/table1/journal.ts'
import { defaultMethods, methodFor, SWEEPS, withSweeps } from '../../ts/bench/table1/methods.ts'
import { Pictures } from '../../ts/bench/table1/pictures.ts'
import { cocoPrompts, slice } from '../../ts/bench/table1/prompts.ts'
import type { SadaError } from '../../ts/errors.ts'
import { createPolicy, policies } from '../../ts/policy/index.ts'
import { emptyFolder } from '../support/spawn.ts'
import { run, session } from '../support/table1.ts'

test('every rival has at least five settings, and each is one that the policy takes', () => {
  for (const [policy, { option, values }] of Object.entries(SWEEPS)) {
    assert.ok(policy in policies, policy)
    assert.ok(new Set(values).size >= 5, policy)
    for (const value of values) createPolicy({ name: policy, [option]: value })
  }
  const all = withSweeps(defaultMethods('avatar'))
  assert.is(new Set(all.map(({ label }) => label)).size, all.length)
  for (const { policy } of all) assert.ok(policy in SWEEPS || policy.includes('/'), `${policy} has no sweep`)
})

test('the default methods are the registry without the baseline and presets made for other models', () => {
  const names = defaultMethods('avatar').map(({ policy }) => policy)
  assert.not.ok(names.includes('none'))
  assert.not.ok(names.includes('teacache/flux'))
  assert.ok(defaultMethods('flux').some(({ policy }) => policy === 'teacache/flux'))
  for (const name of ['sada', 'sada/poster', 'easycache', 'teacache', 'auto']) assert.ok(names.includes(name), name)
})

test('a method is written as the command line takes it, and knows whether it is the default', () => {
  const { label, isDefault } = methodFor({ name: 'every-n', n: 3, order: 1 })
  // The defaults, written out, are the defaults.
  assert.equal([label, isDefault], ['every-n:n=3,order=1', true])
  assert.is(methodFor({ name: 'every-n', n: 4, order: 1 }).isDefault, false)
  assert.is(methodFor({ name: 'sada', preset: 'poster' }).label, 'sada/poster')
  assert.is(methodFor({ name: 'auto', speedup: 2 }).isDefault, true)
  assert.is(methodFor({ name: 'auto', speedup: 3 }).isDefault, false)
})

test('slices part the prompts, and each is as even as the whole', () => {
  const prompts = Array.from({ length: 14 }, (_, index) => ({
    index,
    prompt: `${index}`,
    kind: index % 2 === 0 ? 'full' : 'short',
  }))
  const parts = [1, 2, 3].map((k) => slice(prompts, k, 3))
  assert.equal(
    parts
      .flat()
      .map(({ index }) => index)
      .sort((a, b) => a - b),
    prompts.map(({ index }) => index),
  )
  for (const part of parts) {
    assert.is(part.filter(({ kind }) => kind === 'full').length, part.filter(({ kind }) => kind === 'short').length)
  }
})

test('of COCO the first caption of each picture counts, in the order of the pictures', async () => {
  const path = join(emptyFolder(), 'captions.json')
  const annotations = [
    null,
    { image_id: 7, caption: ' seven, first ' },
    { image_id: 3, caption: 'three, first' },
    { image_id: 7, caption: 'seven, second' },
  ]
  writeFileSync(path, JSON.stringify({ images: [{ id: 3 }, null, { id: 5 }, { id: 7 }], annotations }))
  assert.equal(
    (await cocoPrompts(path, 2)).map(({ prompt }) => prompt),
    ['three, first', 'seven, first'],
  )
  for (const [text, message] of [
    [JSON.stringify({ images: [{ id: 3 }], annotations }), /captions of 1 pictures, and 2/],
    ['[]', /"images" and "annotations"/],
    ['{', /JSON/],
  ] as const) {
    writeFileSync(path, text)
    const said = await cocoPrompts(path, 2).then(
      () => '',
      (thrown: SadaError) => `${thrown.code}: ${thrown.message}`,
    )
    assert.match(said, /^INVALID_ARGUMENT/)
    assert.match(said, message)
  }
})

test('a journal gives back what was added, over a line that was cut off', async () => {
  const path = join(emptyFolder(), 'runs.jsonl')
  const first = await Journal.open(path)
  await first.add(session)
  await first.add(run('sada', 0, 30))
  await first.close()
  const whole = readFileSync(path, 'utf8')
  appendFileSync(path, '{"type":"run","scheduler":"eu')
  assert.equal([...(await readJournals([path])).runs.keys()], ['euler|3|full|0|sada|4'])
  const second = await Journal.open(path)
  assert.is(readFileSync(path, 'utf8'), whole)
  await second.add(run('sada', 1, null))
  await second.close()
  const { sessions, runs } = await readJournals([path])
  assert.equal(sessions, [session])
  assert.equal([...runs.values()], [run('sada', 0, 30), run('sada', 1, null)])
})

test('a prompt is read back whatever separates its lines', async () => {
  const path = join(emptyFolder(), 'runs.jsonl')
  const journal = await Journal.open(path)
  const odd = run('sada', 0, 30, { prompt: 'one\u2028two\u2029three\u0085four\rfive\nsix' })
  for (const each of [session, odd]) await journal.add(each)
  await journal.close()
  assert.equal([...(await readJournals([path])).runs.values()], [odd])
})

test('journals of other steps or on another device are refused, and so is a line that is none', async () => {
  const folder = emptyFolder()
  const [a, b] = ['a.jsonl', 'b.jsonl'].map((name) => join(folder, name))
  writeFileSync(a, JSON.stringify(session) + '\n')
  writeFileSync(b, JSON.stringify({ ...session, steps: 5 }) + '\n')
  const messageOf = (paths: string[]) =>
    readJournals(paths).then(
      () => '',
      (error: SadaError) => `${error.code}: ${error.message}`,
    )
  assert.match(await messageOf([a, b]), /INVALID_ARGUMENT: These runs do not belong together/)
  writeFileSync(b, JSON.stringify({ ...session, device: 'webgpu' }) + '\n')
  assert.match(await messageOf([a, b]), /do not belong together: .*, on cpu, and .*, on webgpu\./)
  assert.is(await messageOf([b, b]), '')
  writeFileSync(b, JSON.stringify({ ...run('sada', 0, 30), nfe: 'two' }) + '\n')
  assert.match(await messageOf([b]), /INVALID_ARGUMENT: .*line 1.*\(nfe\)/)
})

test('runs of another prompt or seed by the same kind and index are refused, and so are runs of which no session says what they are', async () => {
  const folder = emptyFolder()
  const write = (name: string, lines: readonly object[]): string => {
    const path = join(folder, name)
    writeFileSync(path, lines.map((line) => JSON.stringify(line) + '\n').join(''))
    return path
  }
  const messageOf = (paths: string[]) =>
    readJournals(paths, 'timing').then(
      () => '',
      ({ code, argument, message }: SadaError) => `${code} ${argument}: ${message}`,
    )
  const a = write('a', [session, run('sada', 0, 30)])
  assert.is(await messageOf([a, write('b', [session, run('every-n', 0, 30), run('sada', 1, 3)])]), '')
  // Of another method too: rows are compared picture by picture.
  const other = write('c', [session, run('every-n', 0, 30, { prompt: 'another' })])
  assert.match(await messageOf([a, other]), /^INVALID_ARGUMENT timing: .*picture 0 of kind full.*another.*Ask for the same/)
  assert.match(await messageOf([a, write('d', [session, run('sada', 0, 30, { seed: 5 })])]), /seed 5/)
  assert.match(await messageOf([a, write('e', [run('sada', 2, 30)])]), /^INVALID_ARGUMENT timing: .*session/)
})

test('names of kinds and schedulers, which come from files, do not lead out of the folder of pictures', async () => {
  const folder = emptyFolder()
  const inner = join(folder, 'a', 'b')
  const named = { scheduler: '..', guidance: 3, kind: '../../../../escaped', index: 0, method: '../x', steps: 3 }
  await new Pictures([inner]).keep(named, new Float32Array(12), { shape: [3, 2, 2], range: [-1, 1] })
  assert.ok(await new Pictures([inner]).find(named))
  assert.equal([readdirSync(folder), readdirSync(join(folder, 'a'))], [['a'], ['b']])
})

test('names longer than a file system takes keep a picture each', async () => {
  const ratios = Array.from({ length: 50 }, (_, k) => 1 + k / 1000).join('x')
  const kind = 'k'.repeat(300)
  const pictures = new Pictures([join(emptyFolder(), 'runs.pictures')])
  const made = ['0.12', '0.24'].map((threshold) =>
    run(`magcache:ratios=${ratios},keep=-1,threshold=${threshold}`, 0, 30, { kind }),
  )
  for (const [k, each] of made.entries()) {
    await pictures.keep(each, new Float32Array(12).fill(k), { shape: [3, 2, 2], range: [-1, 1] })
  }
  const found = await Promise.all(made.map((each) => pictures.find(each)))
  // 0 is the middle of the range, 1 its end.
  assert.equal(
    found.map((picture) => picture?.data[0]),
    [128, 255],
  )
})

test('a journal that is opened again loses nothing of what another process is adding to it', async () => {
  const path = join(emptyFolder(), 'runs.jsonl')
  const writer = await Journal.open(path)
  await writer.add(session)
  const indices = Array.from({ length: 400 }, (_, index) => index)
  const writing = (async () => {
    for (const index of indices) await writer.add(run('sada', index, 30))
  })()
  let isWriting = true
  void writing.finally(() => (isWriting = false))
  while (isWriting) await (await Journal.open(path)).close()
  await writing
  await writer.close()
  assert.is((await readJournals([path])).runs.size, indices.length)
})

test('a picture that was cut off is refused by its path, as there are thousands of them', async () => {
  const folder = join(emptyFolder(), 'runs.pictures')
  const made = run('sada', 0, 30)
  const pictures = new Pictures([folder])
  await pictures.keep(made, new Float32Array(12), { shape: [3, 2, 2], range: [-1, 1] })
  const path = join(folder, 'euler', 'g3', 'full-0', 'sada-4.png')
  writeFileSync(path, readFileSync(path).subarray(0, 40))
  const { code, message } = await pictures.find(made).then(
    () => assert.unreachable() as never,
    (error: SadaError) => error,
  )
  assert.is(code, 'INVALID_ARGUMENT')
  assert.ok(message.startsWith(path), message)
})

test('a folder of pictures that takes none ends with a code', async () => {
  const file = join(emptyFolder(), 'runs.pictures')
  writeFileSync(file, '')
  const keeping = new Pictures([file]).keep(run('sada', 0, 30), new Float32Array(12), { shape: [3, 2, 2], range: [-1, 1] })
  const { code, message } = await keeping.then(
    () => ({ code: '', message: '' }),
    (error: SadaError) => error,
  )
  assert.is(code, 'OUTPUT_FAILED')
  assert.ok(message.includes(file), message)
})

test.run()
