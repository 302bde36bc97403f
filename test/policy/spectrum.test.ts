import { test } from 'uvu'
import { testNeverAndDefault, testRecorded } from '../support/rivals.ts'

testRecorded('spectrum')
testNeverAndDefault('spectrum', { window: 1, growth: 0 })
testNeverAndDefault('spectrum', { stop: 0 })

test.run()
