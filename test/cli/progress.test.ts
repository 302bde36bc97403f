import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createProgress } from '../../ts/cli/progress.ts'

/** What the bar draws on a terminal while `work` is done, piece by piece. */
async function drawn(total: number, work: readonly number[]): Promise<string> {
  const { isTTY, write } = process.stderr
  let text = ''
  process.stderr.isTTY = true
  process.stderr.write = (piece: string | Uint8Array) => (text += String(piece)).length > 0
  try {
    const progress = createProgress()
    progress.start(total)
    for (const each of work) {
      progress.advance(each, 'a picture')
      await new Promise((resolve) => setTimeout(resolve, 150)) // it draws ten times a second
    }
    progress.stop()
  } finally {
    Object.assign(process.stderr, { isTTY, write })
  }
  return text
}

test('no time left is told before anything is done, as where runs are finished already', async () => {
  const [none, some] = [await drawn(10, [0]), await drawn(10, [0, 5])]
  assert.not.match(none, /left|NaN|Infinity/)
  assert.match(none, 'a picture')
  assert.match(some, /\d s left/)
  assert.not.match(await drawn(0, [0]), /NaN|Infinity/)
})

test.run()
