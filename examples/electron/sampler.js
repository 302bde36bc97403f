// Runs in a utility process. Tells the main process { name: 'loaded' } or { name: 'failed', code, message }. On the port of a page it
// answers { prompt, seed } with { step, steps }, and last with { picture } or { error: { code, message } }; a new request ends the one
// before it.
const { load } = require('sada')

let loading

// The model. Where it failed to load, the next request tries again.
function model() {
  loading ??= load('avatar').then(
    (pipeline) => {
      process.parentPort.postMessage({ name: 'loaded' })
      return pipeline
    },
    (error) => {
      loading = undefined
      process.parentPort.postMessage({ name: 'failed', ...told(error) })
      throw error
    },
  )
  return loading
}

// An error's code does not survive being posted; `code` says what to do, the message is for people.
const told = ({ code, message }) => ({ code, message })

async function draw(request, port, signal) {
  try {
    // Anything may be posted: what is no request has no prompt, which generate() says.
    const { prompt, seed } = Object(request)
    const pipeline = await model()
    const onStep = ({ step, steps }) => port.postMessage({ step, steps })
    const { images } = await pipeline.generate({ prompt, seed, signal, onStep })
    const [{ width, height, data }] = images
    port.postMessage({ picture: { width, height, data } })
  } catch (error) {
    if (!signal.aborted) port.postMessage({ error: told(error) })
  }
}

process.parentPort.on('message', ({ ports: [port] }) => {
  if (!port) return
  let running = new AbortController()
  port.on('message', ({ data }) => {
    running.abort()
    running = new AbortController()
    draw(data, port, running.signal)
  })
  port.on('close', () => running.abort())
  port.start()
})

// The main process was told.
model().catch(() => {})
