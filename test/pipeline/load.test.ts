import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { bundledModels, unknownModel } from '../../ts/pipeline/load.ts'

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
