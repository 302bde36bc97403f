import { test } from 'uvu'
import { testNeverAndDefault, testRecorded } from '../support/rivals.ts'

testRecorded('resilphase')
testNeverAndDefault('resilphase', { interval: 1 })

test.run()
