import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { conclusion } from '../../ts/cli/doctor.ts'

test('what is concluded is true of the backends that were found', () => {
  const of = (...usable: string[]): string =>
    conclusion(['cpu', 'cuda', 'tensorrt', 'onnxruntime', 'webgpu'].map((name) => ({ name, usable: usable.includes(name) })))
  // Builders and providers are libraries, which need no GPU to be there.
  assert.is(of('cpu', 'tensorrt', 'onnxruntime'), 'The CPU works; no GPU was found.')
  assert.is(of('cpu', 'cuda'), 'The CPU works, and a GPU was found.')
  assert.is(of('cpu', 'webgpu'), 'The CPU works, and a GPU was found by WebGPU.')
})

test.run()
