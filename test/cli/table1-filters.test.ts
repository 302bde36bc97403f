import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { chosenRuns } from '../../ts/cli/table1-filters.ts'
import { contentOf, run } from '../support/table1.ts'

test('fewer samples than come before a slice are refused, as they leave nothing to report', () => {
  const content = contentOf([run('sada', 2, 30), run('sada', 10, 30)])
  const chosen = (samples: number) =>
    chosenRuns(content, { samples, given: new Set(['samples']), reportOnly: true, timingOnly: false })
  assert.is(chosen(3).runs.size, 1)
  assert.throws(() => chosen(2), /"--samples".*finished run/)
})

test.run()
