import { Option } from 'commander'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { asTyped, typedName } from '../../ts/cli/option-names.ts'

const options = [
  ...['-m, --model <name>', '--guidance <scale>', '--true-guidance <scale>', '--negative <prompt>', '--policy <policy>'],
  ...['--memory-budget <size>', '--control <file>', '--control-strength <n>', '--device <device>', '--width <pixels>'],
].map((flags) => new Option(flags))

const cases: [message: string, told: string][] = [
  ['Expected "guidanceScale" to be a number from 0 to 100', 'Expected "--guidance" to be a number from 0 to 100'],
  ['"negativePrompt" to be given with "trueGuidanceScale", which', '"--negative" to be given with "--true-guidance", which'],
  ['Expected "memory.budget" to be', 'Expected "--memory-budget" to be'],
  ['Expected "control.strength" to be', 'Expected "--control-strength" to be'],
  ['Expected "control.image" to be', 'Expected "image" of "--control" to be'],
  ['Expected "policy.target.speedup" to be', 'Expected "target.speedup" of "--policy" to be'],
  ['ask for one with "device", "cuda" for the first', 'ask for one with "--device", "cuda" for the first'],
  [
    'Expected "control.strength" to be a number, received undefined.',
    'Expected "--control-strength" to be a number, but it was not given.',
  ],
  ['Expected "prompt" to be short, received "or, received undefined."', ''],
  // What a model takes, the command may lack.
  [
    'not take it, received 3. It takes "guidanceRescale", "width", "cropTopLeft", "negativePrompt".',
    'not take it, received 3. It takes "--width", "--negative".',
  ],
  ['not take it, received 3. It takes "cropTopLeft".', 'not take it, received 3.'],
  // What is no option of the command, and what was typed.
  ['Expected "steps" to be; "policies", "--width" and "a policy.n" are not', ''],
  ['Expected "engine" to be "onnxruntime", received "device".', ''],
  ['Expected "prompt" to be short, received "a \\"device\\" here"', ''],
]

test('a message has its options as the command has them; what it has not, and what was received, stays', () => {
  for (const [message, told] of cases) assert.is(asTyped(message, options), told || message)
})

test('an argument is called as the option that it was typed in', () => {
  const called = ['guidanceScale', 'memory.budget', 'control.image', 'policy.target.speedup', 'width', 'prompt', 'file']
  assert.equal(
    called.map((name) => typedName(name, options)),
    ['--guidance', '--memory-budget', '--control', '--policy', '--width', 'prompt', 'file'],
  )
})

test.run()
