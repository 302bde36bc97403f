import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkEffects, chosenRuns } from '../../ts/cli/table1-filters.ts'
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
  assert.equal(told({ policy: ['sada'] }), [3])
})

const finished = (...runs: ReturnType<typeof run>[]) => ({
  chosen: (choice: object) =>
    [...chosenRuns(contentOf(runs), { samples: 2, reportOnly: true, timingOnly: false, ...choice }).runs.values()].map((each) =>
      runs.indexOf(each),
    ),
})

test('of policies the plain runs beside them are reported, too; of a scheduler or a guidance that alone', () => {
  const { chosen } = finished(
    run('sada', 0, 30),
    run('none', 0, 30, { steps: 2 }),
    run('deepcache', 0, 30),
    run('none', 0, 30, { scheduler: 'dpm++' }),
    run('sada', 0, 30, { guidance: 7 }),
  )
  assert.equal(chosen({}), [0, 1, 2, 3, 4])
  assert.equal(chosen({ policy: ['sada'] }), [0, 1, 3, 4])
  assert.equal(chosen({ policy: ['sada'], scheduler: ['euler'] }), [0, 1, 4])
  assert.equal(chosen({ guidance: [7] }), [4])
  assert.throws(() => chosen({ scheduler: ['eulr'] }), /Did you mean "euler"/)
  assert.throws(() => chosen({ policy: ['easycache'] }), /"easycache"/)
})

test('a table of runs that were just made has what was asked for of a longer file, with all settings of a sweep; what could not be run is no error', () => {
  const { chosen } = finished(
    run('sada', 0, 30),
    run('deepcache', 0, 30),
    run('none', 0, 30, { steps: 2 }),
    run('sada:tolerance=0.02', 0, 30),
    run('sada', 0, 30, { scheduler: 'dpm++' }),
  )
  const made = (choice: object) => chosen({ reportOnly: false, ...choice })
  assert.equal(made({ policy: ['sada'] }), [0, 2, 4])
  assert.equal(made({ policy: ['sada'], sweep: true, scheduler: ['euler'] }), [0, 2, 3])
  assert.equal(made({ policy: ['easycache', 'deepcache'] }), [1, 2])
  assert.equal(made({ policy: ['easycache'] }), [2])
})

test('so many samples are the first prompts, or the first of a kind; where no number is given all are reported', () => {
  const short = { kind: 'short' } as const
  const { chosen } = finished(
    ...[10, 9, 2].map((index) => run('sada', index, 30, short)),
    ...[0, 1, 3].map((index) => run('sada', index, 30)),
  )
  const given = new Set(['samples'])
  assert.equal(chosen({}), [0, 1, 2, 3, 4, 5])
  assert.equal(chosen({ given }), [3, 4])
  assert.equal(chosen({ given, kind: ['short'] }), [1, 2])
  assert.equal(chosen({ given, samples: 3, kind: ['short'] }), [0, 1, 2])
})

test('options that another one leaves without an effect are refused by both names', () => {
  const withReport = ['timing-only', 'sweep', 'coco', 'prompts', 'slice', 'control', 'control-strength', 'control-start']
  const refused: [by: string, options: string[]][] = [
    ['reportOnly', [...withReport, 'control-end', 'device', 'engine']],
    ['timingOnly', ['timing', 'plain-by', 'weights']],
    ['coco', ['prompts', 'kind']],
  ]
  const known = (option: string): string => option.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
  for (const [by, options] of refused) {
    for (const option of options) {
      const choice = { samples: 1, reportOnly: false, timingOnly: false, given: new Set([known(option), 'scheduler']) }
      const whole = `"--${by.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}`.slice(1)
      checkEffects(choice)
      assert.throws(
        () => checkEffects({ ...choice, [by]: by === 'coco' ? 'file' : true }),
        (error: Error) => error.message.includes(`"--${option}"`) && error.message.includes(`left out with ${whole},`),
      )
    }
    checkEffects({ samples: 1, reportOnly: false, timingOnly: false, given: new Set(['scheduler']), [by]: true })
  }
})

test.run()
