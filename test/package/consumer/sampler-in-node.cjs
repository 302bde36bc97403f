// Runs examples/electron/sampler.js in plain Node: what Electron gives a utility process, imitated.
const { EventEmitter } = require('node:events')
const { MessageChannel } = require('node:worker_threads')

process.parentPort = Object.assign(new EventEmitter(), { postMessage: () => {} })
require('./electron/sampler.js')

const { port1, port2 } = new MessageChannel()
const asInElectron = {
  on: (name, listener) => port1.on(name, (data) => listener({ data })),
  postMessage: (message) => port1.postMessage(message),
  start: () => port1.start(),
}
process.parentPort.emit('message', { data: 'connect', ports: [asInElectron] })
let steps = 0
port2.on('message', ({ step, picture, error }) => {
  if (step !== undefined) steps++
  if (!picture && !error) return
  console.log(
    error
      ? `${error.message} [${error.code}]`
      : `${picture.width}×${picture.height}, ${picture.data.length} bytes, ${steps} steps`,
  )
  process.exit(error ? 1 : 0)
})
port2.postMessage({ prompt: 'a teal robot with round eyes', seed: 3 })
