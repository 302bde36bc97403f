import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { minus, plus, substitute, times } from '../../ts/solver/row.ts'

test('weights of the same buffer add up, in whatever order they come', () => {
  assert.equal(plus({ x: 1, x0: 2 }, { x0: 3 }, { x: 4 }), { x: 5, x0: 5 })
  const definitions = { y: { x: 2, x0: -2 } }
  for (const row of [
    { x: 1, y: 3 },
    { y: 3, x: 1 },
  ])
    assert.equal(substitute(row, definitions), { x: 7, x0: -6 })
})

test('what cancels, or weighs nothing, is not read: a step has room for eight buffers, and what was in one may not be finite', () => {
  assert.equal(times(0, { x: 1, x0: Infinity }), {})
  assert.equal(minus({ x: 1, x0: 2 }, { x: 1 }), { x0: 2 })
  assert.equal(substitute({ x: 1, y: 0.5 }, { y: { x: -2, x0: 4 } }), { x0: 2 })
})

test.run()
