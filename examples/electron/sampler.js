// Runs in a utility process. Answers { prompt, seed } with { step, steps }, and last with { picture } or { error }; a new request ends
// the one before it.
const { load } = require('sada')

const loading = load('avatar')
// A failure to load is told to whoever asks.
loading.catch(() => {})

process.parentPort.on('message', ({ ports: [port] }) => {
  let running = new AbortController()
  port.on('message', async ({ data: { prompt, seed } }) => {
    running.abort()
    const { signal } = (running = new AbortController())
    try {
      const pipeline = await loading
      const onStep = ({ step, steps }) => port.postMessage({ step, steps })
      const { images } = await pipeline.generate({ prompt, seed, signal, onStep })
      const [{ width, height, data }] = images
      port.postMessage({ picture: { width, height, data } })
    } catch (error) {
      if (!signal.aborted) port.postMessage({ error: error.message })
    }
  })
  port.on('close', () => running.abort())
  port.start()
})
