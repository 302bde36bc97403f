import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineOp, Workspace } from '../../ts/native/types.ts'
import { Numbers } from '../support/numbers.ts'
import { addon, bound, codeOf, newEngine, read } from '../support/engines.ts'

const engine = newEngine()
const sizes = [1, 2, 31, 32, 33, 257]
type Move = Extract<EngineOp, { kind: 'gather' | 'scatter' }>

/** Every element of a move as (row, token, channel). */
function at(
  { order, channels }: Pick<Move, 'order' | 'channels'>,
  tokens: number,
  row: number,
  token: number,
  channel: number,
): number {
  return order === 'tokens' ? (row * tokens + token) * channels + channel : (row * channels + channel) * tokens + token
}

/** Some of the tokens, in no order. */
function someTokens(numbers: Numbers, tokens: number): Int32Array {
  const all = Array.from({ length: tokens }, (_, k) => k).sort(() => numbers.below(3) - 1)
  return Int32Array.from(all.slice(0, numbers.below(tokens + 1)))
}

for (const order of ['tokens', 'channels-first'] as const) {
  test(`${order}: gather takes the kept tokens, scatter puts them back and leaves the others`, async () => {
    const numbers = new Numbers(3)
    for (const tokens of sizes) {
      for (const channels of [1, 3, 8]) {
        const rows = 1 + numbers.below(3)
        const indices = someTokens(numbers, tokens)
        const workspace = new addon.Workspace()
        const whole = bound(workspace, '', numbers.floats(rows * tokens * channels))
        const part = bound(workspace, '', new Float32Array(rows * indices.length * channels))
        const back = bound(workspace, '', new Float32Array(rows * tokens * channels).fill(7))
        const move = { rows, tokens, channels, order, indices }
        const ms = await engine.run(workspace, [
          { kind: 'gather', from: whole, to: part, ...move },
          { kind: 'scatter', from: part, to: back, ...move },
        ]).done
        assert.is(ms.length, 2)
        const [all, some, restored] = [whole, part, back].map((binding) => read(workspace, binding))
        const kept = [...indices]
        for (let row = 0; row < rows; row++) {
          for (let channel = 0; channel < channels; channel++) {
            kept.forEach((token, k) =>
              assert.is(some[at(move, kept.length, row, k, channel)], all[at(move, tokens, row, token, channel)]),
            )
            for (let token = 0; token < tokens; token++) {
              const place = at(move, tokens, row, token, channel)
              assert.is(restored[place], kept.includes(token) ? all[place] : 7)
            }
          }
        }
      }
    }
  })
}

test('copy moves floats within the workspace, overlapping ones too', async () => {
  const workspace = new addon.Workspace()
  const values = bound(workspace, '', [1, 2, 3, 4, 5])
  await engine.run(workspace, [{ kind: 'copy', from: values, to: { tensor: values.tensor, offset: 1 }, length: 4 }]).done
  assert.equal(read(workspace, values), [1, 1, 2, 3, 4])
})

const wrong: [string, object, RegExp][] = [
  ['an index twice', { indices: Int32Array.of(1, 1) }, /once, received 1 twice/],
  ['an index beyond', { indices: Int32Array.of(0, 4) }, /indices/],
  ['more indices than tokens', { indices: new Int32Array(5) }, /once, received 5 of 4 tokens/],
  ['a negative index', { indices: Int32Array.of(-1, 0) }, /indices/],
  ['indices of another type', { indices: new Float32Array(2) }, /indices/],
  ['no indices', { indices: undefined }, /indices/],
  ['more tokens than there are', { tokens: 5 }, /outside tensor/],
  ['sizes that overflow', { rows: 2 ** 30, tokens: 2 ** 30, channels: 2 ** 30 }, /2\^40/],
  ['a huge token count', { tokens: 2 ** 30 }, /outside tensor|2\^40/],
  ['no rows', { rows: 0 }, /rows/],
  ['an unknown order', { order: 'rows' }, /order/],
  ["memory of the caller's", { from: { tensor: new Float32Array(12), offset: 0 } }, /tensor/],
  ['an unknown tensor', { to: { tensor: 9, offset: 0 } }, /no tensor 9/],
  ['one place to take from and put to', { to: { tensor: 0, offset: 0 } }, /overlap/],
]
const moveOf = (workspace: Workspace): Move => ({
  kind: 'gather',
  from: bound(workspace, '', new Float32Array(12)),
  to: bound(workspace, '', new Float32Array(6)),
  rows: 1,
  tokens: 4,
  channels: 3,
  order: 'tokens',
  indices: Int32Array.of(2, 0),
})
for (const [name, change, message] of wrong) {
  test(`gather: ${name}`, async () => {
    const workspace = new addon.Workspace()
    const move = moveOf(workspace)
    assert.is(await codeOf(engine.run(workspace, [move]).done), 'resolved')
    assert.throws(
      () => engine.run(workspace, [{ ...move, ...change }]),
      (error: Error & { code?: string }) => {
        return error.code === 'INVALID_ARGUMENT' && message.test(error.message)
      },
    )
  })
}

test.after(() => engine.dispose())
test.run()
