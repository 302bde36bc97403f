import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { resultNames } from '../../ts/cli/result-names.ts'

const nameOf = (prompt: string): string => resultNames(prompt, '.png').next().value as string

test('letters and digits of any script are kept, all else becomes a hyphen', () => {
  for (const [prompt, name] of [
    ['A teal robot, 2 eyes!', 'a-teal-robot-2-eyes'],
    ['ünï / 😀 a robot', 'ünï-a-robot'],
    ['ロボット', 'ロボット'],
    ['ﾛﾎﾞｯﾄ', 'ロボット'],
    ['रोबोट', 'रोबोट'],
    ['İzmir', 'i̇zmir'],
    ['❤️ robot 1️⃣', 'robot-1⃣'],
    ['../a\\b:c*?"<>|', 'a-b-c'],
    ['😀', 'sada'],
    ['\u3164\u200d\ud800', 'sada'],
  ])
    assert.is(nameOf(prompt), `${name}.png`, prompt)
})

test('one look has one name, however it is spelt', () => {
  assert.is(nameOf('u\u0308ber'), nameOf('\u00fcber'))
  assert.is(nameOf('u\u0308ber'), '\u00fcber.png')
})

test("a name is none of Windows' devices, in no spelling", () => {
  for (const device of ['con', 'NUL', 'com1', 'COM¹', 'ｌｐｔ３'])
    assert.match(nameOf(device), /^(con|nul|com1|lpt3)-picture\.png$/)
})

test('a name fits into what file systems have for one, and ends with a whole letter', () => {
  for (const letter of ['a', 'ü', 'ロ', '𠮷', 'e\u0301\u0323', `a${'\u0301'.repeat(50)}`]) {
    const whole = letter.normalize('NFKC')
    const stem = nameOf(letter.repeat(100)).slice(0, -'.png'.length)
    assert.ok(Buffer.byteLength(stem) <= 120, letter)
    assert.is(stem.replaceAll(whole, ''), '', letter)
    assert.ok(stem.length > 0, letter)
  }
  assert.is(nameOf(`${'a'.repeat(59)} b`), `${'a'.repeat(59)}.png`)
})

test('where a name is taken the next one has a number', () => {
  const names = resultNames('a robot', '.wav')
  assert.equal([names.next().value, names.next().value], ['a-robot.wav', 'a-robot-2.wav'])
})

test.run()
