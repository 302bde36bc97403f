import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/index.ts'
import { load } from '../../ts/pipeline/load.ts'
import { bundledModels, unknownModel } from '../../ts/pipeline/model-folder.ts'

test('what is no model, no settings, and settings that are none, are named', async () => {
  const attempts: [model: unknown, settings: unknown, code: string, said: RegExp][] = [
    ...['', 7, null, undefined, {}].map((wrong): [unknown, unknown, string, RegExp] => [
      wrong,
      {},
      'INVALID_ARGUMENT',
      /"model"/,
    ]),
    ...[null, 7, 'cpu'].map((wrong): [unknown, unknown, string, RegExp] => ['avatar', wrong, 'INVALID_ARGUMENT', /"settings"/]),
    ['avatar', { thread: 1 }, 'UNKNOWN_NAME', /"thread".*Did you mean "threads"/],
    ['avatar', { engine: 'openvino' }, 'INVALID_ARGUMENT', /"engine"/],
  ]
  for (const [model, settings, code, said] of attempts) {
    const error = (await load(model as string, settings as object).catch((e: unknown) => e)) as SadaError
    assert.is(error.code, code, error.message)
    assert.match(error.message, said)
  }
})

test('an unknown model is told the bundled ones; where there are none, as in a bundle, why that may be', () => {
  const { code, argument, message } = unknownModel('avatr', bundledModels())
  assert.equal([code, argument], ['UNKNOWN_NAME', 'model'])
  assert.is(message, 'Unknown model "avatr". Did you mean "avatar"? Known: avatar.')
  const bare = unknownModel('avatar', [])
  assert.equal([bare.code, bare.argument], ['UNKNOWN_NAME', 'model'])
  assert.match(bare.message, /^Unknown model "avatar"\. No bundled models are at .*models\. Keep "sada" external/)
  for (const name of ['a"\nb', 'x'.repeat(1e6)]) {
    const { message } = unknownModel(name, [])
    assert.ok(message.length < 2000 && !message.includes('\n'), message.slice(0, 100))
  }
})

test.run()
