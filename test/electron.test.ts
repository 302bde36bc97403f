import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startApp } from './support/electron.ts'

// examples/electron, in an imitation of Electron (test/support/electron.ts) and with the package itself.

test('a page can draw when the model is loaded, and not before', async () => {
  const { page, samplers, log, quit } = await startApp()
  page.load()
  await page.says('loading the model')
  assert.ok(page.button.disabled)
  await page.says('ready')
  page.draw()
  await page.says(/^step \d+ of 50$/)
  await page.says('done')
  assert.equal(page.pictures, [[64, 64]])
  // Loaded again it is connected again.
  page.load()
  await page.says('ready')
  page.draw()
  await page.says('done')
  quit()
  await samplers[0].kill()
  assert.is(samplers.length, 1)
  assert.equal(log, [], 'a quit is silent')
})

test('a sampler that ends before the page is there is started again, after twice as long each time', async () => {
  const { page, samplers, waits, log, quit } = await startApp({ ends: true }, { ends: true }, { ends: true })
  while (samplers.length < 3) await new Promise((resolve) => setImmediate(resolve))
  page.load()
  await page.says('ready')
  page.draw()
  await page.says('done')
  assert.equal(waits, [500, 1000, 2000])
  assert.match(log[0], /ended with 1; another one starts in 500 ms/)
  quit()
  await samplers[3].kill()
})

test('a page whose sampler ends says so and is connected to the next one', async () => {
  const { page, samplers, waits, log, quit } = await startApp()
  page.load()
  await page.says('ready')
  const { port } = page
  page.draw()
  await page.says(/^step/)
  await samplers[0].kill()
  await page.says('ready')
  assert.is.not(page.port, port)
  assert.ok(page.said.includes('the sampler ended with 7; another one is about to start'), page.said.join('\n'))
  page.draw()
  await page.says('done')
  // One that had loaded its model is started soon.
  await samplers[1].kill()
  await page.says('ready')
  assert.equal(waits, [500, 500])
  assert.is(log.length, 2)
  quit()
  await samplers[2].kill()
})

test('what is no request is answered with the code of an error', async () => {
  const { page, samplers, quit } = await startApp()
  page.load()
  await page.says('ready')
  for (const wrong of [null, undefined, 'draw', 7, {}, { prompt: 7 }, { prompt: 'a kid', seed: -1 }]) {
    page.output.value = ''
    page.port!.postMessage(wrong)
    await page.says(/^Expected "(prompt|seed)".* \[INVALID_ARGUMENT\]$/)
  }
  page.draw()
  await page.says('done')
  quit()
  assert.is(samplers.length, 1)
  await samplers[0].kill()
})

test('a new request ends the one before it, of which nothing more is said', async () => {
  const { page, samplers, quit } = await startApp()
  page.load()
  await page.says('ready')
  const errors: unknown[] = []
  page.port!.on('message', ({ error }) => error && errors.push(error))
  page.draw()
  await page.says(/^step/)
  page.draw()
  await page.says('done')
  assert.is(page.pictures.length, 1)
  assert.equal(errors, [])
  quit()
  await samplers[0].kill()
})

test('a model that failed to load is loaded again by the next request', async () => {
  const { page, samplers, log, quit } = await startApp({ failingLoads: 2 })
  page.load()
  for (let failures = 0; failures < 2; failures++) {
    await page.says('The file is cut. [MODEL_CORRUPT]')
    page.output.value = ''
    page.draw()
  }
  await page.says('done')
  assert.ok(page.said.includes('ready'))
  assert.equal(log, [])
  quit()
  await samplers[0].kill()
})

test.run()
