import type { Option } from 'commander'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  CONTROL_END,
  CONTROL_START,
  CONTROL_STRENGTH,
  HEIGHT,
  MAX_SEQUENCE_LENGTH,
  pictureRequest,
  pictureTerms,
  SECONDS,
  WIDTH,
} from '../../ts/cli/picture-options.ts'

const read = (option: Option, text: string): unknown =>
  (option.parseArg as (text: string, before: unknown) => unknown)(text, undefined)

test('what is asked of a picture or a sound is within what any model takes, or refused by its name', () => {
  const limits: [option: Option, name: string, taken: number[], refused: string[]][] = [
    [WIDTH, '--width', [1, 8192], ['0', '8193', '1.5']],
    [HEIGHT, '--height', [1, 8192], ['0', '8193', '1.5']],
    [MAX_SEQUENCE_LENGTH, '--max-sequence-length', [4, 512], ['3', '513', '4.5']],
    [SECONDS, '--seconds', [0.01, 600], ['0', '600.1', '-1']],
    [CONTROL_STRENGTH, '--control-strength', [0, 2], ['-0.1', '2.1']],
    [CONTROL_START, '--control-start', [0, 1], ['-0.1', '1.1']],
    [CONTROL_END, '--control-end', [0, 1], ['-0.1', '1.1']],
  ]
  for (const [option, name, taken, refused] of limits) {
    assert.is(option.long, name)
    for (const value of taken) assert.is(read(option, String(value)), value, name)
    for (const text of refused) assert.throws(() => read(option, text), `"${name}"`)
  }
})

test('numbers go to generate by its names, and of those that were given into what a bench writes down', () => {
  const asked = { width: 16, height: 24, maxSequenceLength: 32, seconds: 2, control: ['a.png'], controlStart: 0.5 }
  assert.equal(pictureRequest(asked), { width: 16, height: 24, maxSequenceLength: 32, seconds: 2 })
  assert.equal(pictureTerms(asked), { width: 16, height: 24, max_sequence_length: 32, seconds: 2 })
  assert.equal(pictureTerms({ height: 24 }), { height: 24 })
  assert.equal(Object.keys(pictureTerms({ height: 24 })), ['height'])
})

test.run()
