import { test } from 'uvu'
import { testNeverAndDefault, testRecorded } from '../support/rivals.ts'

testRecorded('adaptive-diffusion')
testNeverAndDefault('adaptive-diffusion', { maxConsecutive: 0 })

test.run()
