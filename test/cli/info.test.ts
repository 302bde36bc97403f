import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { COMMANDS, isRecord } from '../../ts/cli/command-line.ts'
import { info } from '../../ts/cli/info.ts'
import { Sound } from '../../ts/pipeline/audio.ts'
import { emptyFolder, run } from '../support/spawn.ts'

test('info tells the settings from the options of the policy, whatever those are called; of these what is not as usual', async () => {
  const cwd = emptyFolder()
  const words = ['a kid', '--seed', '5', '--steps', '1', '--policy', 'sada:seed=9,tail=3', '-o', 'x.png', '--json']
  const { options } = JSON.parse((await run('sada', words, cwd)).stdout)
  const { seeds, settings } = JSON.parse((await run('sada', ['info', 'x.png', '--json'], cwd)).stdout)
  assert.equal([seeds, settings.policy, settings.options, settings.seed], [[5], 'sada', options, undefined])
  assert.ok(Object.keys(options).length > 5)
  const { stdout } = await run('sada', ['info', 'x.png'], cwd)
  assert.match(stdout, /^size +64×64\nseeds +5\n[^]*^policy +sada\n {2}tail +3\n {2}seed +9\nmade by/m)
})

test('info says how large the pictures of a sheet are, and nothing of options that are as usual', async () => {
  const cwd = emptyFolder()
  await run('sada', ['a kid', '-n', '4', '--steps', '1', '-o', 'x.png'], cwd)
  const { stdout } = await run('sada', ['info', 'x.png'], cwd)
  assert.match(stdout, /^size +64×64, 4 on a sheet of 130×130\nseeds +0, 1, 2, 3\n[^]*^policy +sada\nmade by/m)
  const { width, height } = JSON.parse((await run('sada', ['info', 'x.png', '--json'], cwd)).stdout)
  assert.equal([width, height], [130, 130])
})

/** A picture of one pixel with these texts. */
async function onePixel(text: Record<string, string>): Promise<Uint8Array> {
  const { encode } = await import('fast-png')
  return encode({ width: 1, height: 1, data: new Uint8Array(3), channels: 3, depth: 8, text })
}

test('a command that writes, deletes or would swallow what is added to it is no record of sada', () => {
  const refused = [
    ['a robot', '--output=/tmp/x.png'],
    ['a robot', '-o', 'x.png'],
    ['a robot', '--json'],
    ['engines'],
    ['help'],
    ['-V'],
    ['a robot', '--seed=1', '--'],
    ['--seed=1', '--', 'a robot'],
    ['a robot', 'with eyes'],
    ['a robot', '--seed'],
    [' '],
    [],
  ]
  assert.equal(refused.filter(isRecord), [])
  assert.ok(isRecord(['a robot']))
  assert.ok(isRecord([' --robot', '--seed=1', '--true-guidance=2', '--control=a', '--control=b']))
})

test('what is no record of sada is not printed', async () => {
  const file = join(emptyFolder(), 'x.png')
  writeFileSync(file, await onePixel({ Command: '["engines","clear"]', Settings: '{}' }))
  for (const json of [[], ['--json']]) {
    const { code, stdout, stderr } = await run('sada', ['info', file, ...json])
    assert.equal([code, stdout], [2, ''])
    assert.match(stderr, "this picture's record is not one that sada writes")
  }
})

test('a record that was changed since it was written is not shown', async () => {
  const file = join(emptyFolder(), 'x.png')
  const bytes = Buffer.from(await onePixel({ Command: '["a robot","--seed=1"]', Settings: '{}' }))
  writeFileSync(file, bytes)
  assert.match((await run('sada', ['info', file])).stdout, /sada 'a robot' --seed=1\n$/)
  bytes.write('7', bytes.indexOf('--seed=1') + '--seed='.length)
  writeFileSync(file, bytes)
  const { code, stdout } = await run('sada', ['info', file])
  assert.equal([code, stdout], [2, ''])
})

test('what is no picture of sada is said to be so in words', async () => {
  const cwd = emptyFolder()
  const picture = Buffer.from(await onePixel({ Command: '["a robot"]', Settings: '{}' }))
  const huge = Buffer.from(picture)
  huge.writeUInt32BE(0x7fffffff, 16)
  const files = {
    'sound.wav': Buffer.from(new Sound(new Float32Array(9), 1000).wav()),
    'text.png': Buffer.from('text'),
    'empty.png': Buffer.alloc(0),
    'cut.png': picture.subarray(0, -20),
    'huge.png': huge,
    'plain.png': Buffer.from(await onePixel({})),
    'odd.png': Buffer.from(await onePixel({ Command: '["a robot"', Settings: '{}' })),
  }
  const said = {
    'sound.wav': 'sounds carry no record of how they were made',
    'text.png': 'that is none',
    'empty.png': 'that is none',
    'cut.png': 'it is damaged',
    'huge.png': 'it is damaged',
    'plain.png': 'it says nothing about how it was made',
    'odd.png': "this picture's record is not one that sada writes",
  }
  for (const [name, bytes] of Object.entries(files)) {
    writeFileSync(join(cwd, name), bytes)
    const { message } = (await info(join(cwd, name), false).catch((error: unknown) => error)) as Error
    assert.match(message, `a PNG file that sada has written (${said[name as keyof typeof said]}), received`)
  }
})

test('what a first word is taken for are the commands that there are', async () => {
  const { stdout } = await run('sada', ['--help'])
  const listed = stdout.slice(stdout.indexOf('Commands:')).matchAll(/^ {2}([a-z]+)[ \n]/gm)
  assert.equal(
    Array.from(listed, ([, name]) => name).filter((name) => name !== 'sada'),
    COMMANDS,
  )
})

test.run()
