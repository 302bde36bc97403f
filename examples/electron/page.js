/* global document, ImageData, addEventListener, FormData */
const form = document.querySelector('form')
const button = document.querySelector('button')
const canvas = document.querySelector('canvas')
const output = document.querySelector('output')

const TEXTS = {
  starting: () => 'loading the model',
  loaded: () => 'ready',
  failed: ({ code, message }) => `${message} [${code}]`,
  ended: ({ code }) => `the sampler ended with ${code}; another one is about to start`,
}
let port

function draw({ width, height, data }) {
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255)
  for (let p = 0; p < width * height; p++) rgba.set(data.subarray(p * 3, p * 3 + 3), p * 4)
  Object.assign(canvas, { width, height })
    .getContext('2d')
    .putImageData(new ImageData(rgba, width, height), 0, 0)
}

function answered({ data: { step, steps, picture, error } }) {
  if (picture) draw(picture)
  if (error) output.value = TEXTS.failed(error)
  else output.value = picture ? 'done' : `step ${step + 1} of ${steps}`
}

addEventListener('message', ({ source, data, ports }) => {
  if (source !== globalThis) return
  if (data === 'connect') {
    port?.close()
    port = ports[0]
    port.onmessage = answered
  } else if (data.state) {
    output.value = TEXTS[data.state.name](data.state)
    // Where the model failed to load, the next request loads it again.
    button.disabled = data.state.name === 'starting' || data.state.name === 'ended'
  }
})

form.onsubmit = (event) => {
  event.preventDefault()
  port.postMessage({ prompt: new FormData(form).get('prompt'), seed: Math.floor(Math.random() * 2 ** 32) })
}
