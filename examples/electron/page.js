/* global document, ImageData, addEventListener, FormData */
const form = document.querySelector('form')
const canvas = document.querySelector('canvas')
const output = document.querySelector('output')

function draw({ width, height, data }) {
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255)
  for (let p = 0; p < width * height; p++) rgba.set(data.subarray(p * 3, p * 3 + 3), p * 4)
  Object.assign(canvas, { width, height })
    .getContext('2d')
    .putImageData(new ImageData(rgba, width, height), 0, 0)
}

addEventListener('message', ({ source, data, ports: [port] }) => {
  if (source === globalThis && data.ended !== undefined) output.value = `the sampler ended with ${data.ended}`
  if (source !== globalThis || data !== 'connect' || !port) return
  output.value = 'ready'
  port.onmessage = ({ data: { step, steps, picture, error } }) => {
    if (picture) draw(picture)
    output.value = error ?? (picture ? 'done' : `step ${step + 1} of ${steps}`)
  }
  form.onsubmit = (event) => {
    event.preventDefault()
    port.postMessage({ prompt: new FormData(form).get('prompt'), seed: Math.floor(Math.random() * 2 ** 32) })
  }
})
