// The main process keeps a sampler running in a utility process, tells the pages how it is, and connects them to it: pictures go straight
// from the sampler to the page. Neither a window nor the app waits for the sampler, and whatever happens to it the app stays.
const { app, BrowserWindow, MessageChannelMain, utilityProcess } = require('electron')
const { join } = require('node:path')

// Milliseconds until a sampler that ended is started again: twice as many each time, until one has loaded its model.
const FIRST_WAIT = 500
const LONGEST_WAIT = 30_000

let sampler
// What pages show: { name: 'starting' | 'loaded' | 'failed' | 'ended', code, message }
let state
let wait = FIRST_WAIT
let isQuitting = false

function start() {
  if (isQuitting) return
  sampler = utilityProcess.fork(join(__dirname, 'sampler.js'), [], { serviceName: 'sada' })
  sampler.on('message', tell)
  // An "error" that nobody listens to is thrown; the exit follows it.
  sampler.on('error', (type, location) => console.error(`The sampler met a ${type} in ${location}`))
  sampler.on('exit', startAgain)
  tell({ name: 'starting' })
  for (const window of BrowserWindow.getAllWindows()) connect(window)
}

function startAgain(code) {
  sampler = undefined
  if (isQuitting) return
  console.error(`The sampler ended with ${code}; another one starts in ${wait} ms`)
  tell({ name: 'ended', code })
  setTimeout(start, wait)
  wait = Math.min(2 * wait, LONGEST_WAIT)
}

function tell(news) {
  state = news
  if (state.name === 'loaded') wait = FIRST_WAIT
  for (const window of BrowserWindow.getAllWindows()) window.webContents.send('state', state)
}

// A channel from the page straight to the sampler, in place of the one before.
function connect(window) {
  if (sampler === undefined) return
  const { port1, port2 } = new MessageChannelMain()
  sampler.postMessage('connect', [port1])
  window.webContents.postMessage('connect', null, [port2])
}

function open() {
  const window = new BrowserWindow({ width: 420, height: 520, webPreferences: { preload: join(__dirname, 'preload.js') } })
  // What was said before is lost on a page that was not there yet, or is loaded again.
  window.webContents.on('did-finish-load', () => {
    window.webContents.send('state', state)
    connect(window)
  })
  return window.loadFile(join(__dirname, 'index.html'))
}

app.on('window-all-closed', () => app.quit())
app.on('will-quit', () => (isQuitting = true))
app.whenReady().then(() => {
  start()
  return open()
})
