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
