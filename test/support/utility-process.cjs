// A worker thread as Electron's utility process: runs `file` with a `process.parentPort`. `sada` is the package of this checkout; where the
// process `ends` it cannot be required, and so many loads of its model fail as `failingLoads` says.
const Module = require('node:module')
const { EventEmitter } = require('node:events')
const { join } = require('node:path')
const { parentPort, workerData } = require('node:worker_threads')

const { file, ends = false, failingLoads = 0 } = workerData

const load = Module._load
Module._load = function (request, ...more) {
  if (request !== 'sada') return load.call(this, request, ...more)
  if (ends) throw new Error('Cannot find module')
  const sada = load.call(this, join(__dirname, '..', '..', 'dist', 'index.js'), ...more)
  let loads = 0
  const failing = async () => {
    throw new sada.SadaError('MODEL_CORRUPT', 'The file is cut.')
  }
  return { ...sada, load: (model) => (loads++ < failingLoads ? failing() : sada.load(model)) }
}

/** Its ports give events, and nothing before they are started. */
const electronPort = (port) => ({
  on: (name, listener) => port.on(name, (data) => listener({ data })),
  postMessage: (message) => port.postMessage(message),
  start: () => port.start(),
})

process.parentPort = Object.assign(new EventEmitter(), { postMessage: (message) => parentPort.postMessage(message) })
parentPort.on('message', ({ data, ports }) => {
  if (data === 'end') process.exit(7)
  process.parentPort.emit('message', { data, ports: ports.map(electronPort) })
})
require(file)
