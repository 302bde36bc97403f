// A port cannot cross the context bridge; window.postMessage hands it to the page.
const { ipcRenderer } = require('electron')

ipcRenderer.on('connect', ({ ports }) => window.postMessage('connect', '*', ports))
ipcRenderer.on('state', (_, state) => window.postMessage({ state }, '*'))
