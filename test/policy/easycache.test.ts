import { test } from 'uvu'
import { testNeverAndDefault, testRecorded } from '../support/rivals.ts'

testRecorded('easycache')
testNeverAndDefault('easycache', { threshold: 0 })

test.run()
