// The main process only connects: the sampler lives in a utility process, so neither the window nor the app waits for it,
// and whatever happens to it the app stays.
const { app, BrowserWindow, MessageChannelMain, utilityProcess } = require('electron')
const { join } = require('node:path')

app.whenReady().then(async () => {
  const sampler = utilityProcess.fork(join(__dirname, 'sampler.js'), [], { serviceName: 'sada' })
  const window = new BrowserWindow({ width: 420, height: 520, webPreferences: { preload: join(__dirname, 'preload.js') } })
  // One channel from the page straight to the sampler; another one where the page was loaded again.
  window.webContents.on('did-finish-load', () => {
    const { port1, port2 } = new MessageChannelMain()
    sampler.postMessage('connect', [port1])
    window.webContents.postMessage('connect', null, [port2])
  })
  sampler.on('exit', (code) => {
    console.error(`The sampler ended with ${code}`)
    if (!window.isDestroyed()) window.webContents.postMessage('ended', code)
  })
  await window.loadFile(join(__dirname, 'index.html'))
})

app.on('window-all-closed', () => app.quit())
