import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { policies } from '../../ts/cli/policies.ts'
import { POLICY_GROUPS } from '../../ts/cli/policy-groups.ts'
import { policies as known } from '../../ts/policy/index.ts'

interface Named {
  readonly name: string
}

test('every policy is in one group', () => {
  const listed = Object.values(POLICY_GROUPS).flatMap((briefly) => Object.keys(briefly))
  assert.equal([...listed].sort(), Object.keys(known).sort())
})

test('without names each policy is one line of at most 100 columns, with them all of its options are there', () => {
  const lines = policies([], false).split('\n')
  for (const name of Object.keys(known)) {
    assert.is(lines.filter((line) => line.startsWith(`  ${name} `)).length, 1, name)
    for (const option of Object.keys(known[name].options)) assert.match(policies([name], false), `\n  ${option} `)
  }
  assert.is(Math.max(...lines.map((line) => line.length)) <= 100, true)
})

test('in a narrow terminal what an option does stands below it, not one word on each line', () => {
  const { isTTY, columns } = process.stdout
  process.env.NO_COLOR = '1'
  try {
    for (const width of [40, 60, 69, 70, 80]) {
      Object.assign(process.stdout, { isTTY: true, columns: width })
      const lines = policies(['every-n'], false).split('\n')
      assert.ok(lines.length < 20, `${width}: ${lines.length} lines`)
      assert.ok(
        lines.every((line) => line.length <= width),
        lines.join('\n'),
      )
    }
  } finally {
    delete process.env.NO_COLOR
    Object.assign(process.stdout, { isTTY, columns })
  }
})

test('the default of an option is within what is said to be its range', () => {
  assert.match(policies(['auto'], false), '(0 or 1 … 100)')
  assert.match(policies(['auto'], false), '(0 … 200)')
})

test('as JSON each policy is there with its options, named or not', () => {
  const all = JSON.parse(policies([], true)) as Named[]
  assert.equal(
    all.map(({ name }) => name),
    Object.keys(known),
  )
  assert.equal(JSON.parse(policies(['sada', 'none', 'sada'], true)), [all[1], all[0]])
})

test('names that objects have anyway are no policies', () => {
  assert.throws(() => policies(['toString'], false), /Unknown policy "toString"/)
})

test.run()
