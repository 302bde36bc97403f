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

test('what could not be run is told of what is asked for alone', () => {
  const place = (scheduler: string, guidance: number, method: string) => ({
    ...{ type: 'missing' as const, scheduler, guidance, method },
    reason: 'It needs stages.',
  })
  const runs = ['euler', 'dpm++'].flatMap((scheduler, k) =>
    [3, 7].map((guidance, g) => ({ ...run('sada', 2 * k + g, 30), scheduler, guidance })),
  )
  const missing = [
    place('euler', 3, 'deepcache'),
    place('dpm++', 3, 'deepcache'),
    place('euler', 7, 'teacache'),
    place('euler', 7, 'sada'),
  ]
  const content = { ...contentOf(runs), missing }
  const told = (choice: object) =>
    chosenRuns(content, { samples: 100, reportOnly: true, timingOnly: false, ...choice }).missing.map((each) =>
      missing.indexOf(each),
    )
  assert.equal(told({}), [0, 1, 2, 3])
  assert.equal(told({ scheduler: ['euler'] }), [0, 2, 3])
  assert.equal(told({ scheduler: ['euler'], guidance: [7] }), [2, 3])
  assert.equal(told({ policies: ['sada'] }), [3])
})

test.run()
