import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import { load } from '../../ts/index.ts'
import { during } from '../support/environment.ts'
import { emptyFolder, run } from '../support/spawn.ts'

/** What a machine without a GPU is told; a library of kernels that is not there stands for all reasons. */

const none = { SADA_CUDA_PATH: '/nonexistent/libsada_cuda.so' }
const reason = /^the GPU library was not found; tried \/nonexistent\/libsada_cuda\.so\b.*[^.]$/

test('auto takes the CPU and says why; who asks for the CPU hears nothing of GPUs', async () => {
  await during(none, async () => {
    const auto = await load('avatar', { device: 'auto' })
    assert.is(auto.device.name, 'cpu')
    assert.match(auto.device.reason!, reason)
    await auto.dispose()
    const cpu = await load('avatar')
    assert.equal(cpu.device, { name: 'cpu' })
    await cpu.dispose()
  })
})

test('auto with TensorRT takes the CPU, too; cuda with TensorRT is refused with the reason, in one sentence', async () => {
  await during(none, async () => {
    const pipeline = await load('avatar', { device: 'auto', engine: 'tensorrt' })
    assert.match(pipeline.device.reason!, reason)
    const { images } = await pipeline.generate({ prompt: 'a robot', steps: 2 })
    assert.is(images.length, 1)
    await pipeline.dispose()
    const refused = await load('avatar', { device: 'cuda', engine: 'tensorrt' }).then(
      () => assert.unreachable() as never,
      (error: SadaError) => error,
    )
    assert.is(refused.code, 'BACKEND_UNAVAILABLE')
    assert.match(refused.message, /^"cuda" cannot be used: the GPU library was not found; .*[^.]\.$/)
  })
})

test('sada --device auto says why on stderr, and in what it prints as JSON', async () => {
  const args = ['a robot', '--steps', '2', '--device', 'auto', '-o', 'x.png', '--json']
  const { code, stdout, stderr } = await run('sada', args, emptyFolder(), none)
  assert.is(code, 0, stderr)
  assert.match(stderr, /^On the CPU: the GPU library was not found; .*[^.]\.\n/)
  const { device } = JSON.parse(stdout) as { device: { name: string; reason: string } }
  assert.is(device.name, 'cpu')
  assert.match(device.reason, reason)
})

test.run()
