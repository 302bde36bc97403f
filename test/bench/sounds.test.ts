import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { spectrogramPicture, spectrogramShape } from '../../ts/bench/sounds.ts'
import { Sound } from '../../ts/pipeline/audio.ts'

const RATE = 16_000
const tone = (hertz: number, amplitude: number, samples = RATE / 2): Sound =>
  new Sound(
    Float32Array.from({ length: samples }, (_, k) => amplitude * Math.sin((2 * Math.PI * hertz * k) / RATE)),
    RATE,
  )

/** The brightest value in the middle of the sound, and its row. */
function brightest(sound: Sound): { value: number; row: number } {
  const [, mels, frames] = spectrogramShape(sound.samples.length)
  const picture = spectrogramPicture(sound)
  const column = Array.from({ length: mels }, (_, row) => picture[row * frames + (frames >> 1)])
  const value = Math.max(...column)
  return { value, row: column.indexOf(value) }
}

test('a full-scale tone of 1 kHz is white; half of its amplitude is 6.02 dB of 80 below', () => {
  assert.ok(Math.abs(brightest(tone(1000, 1)).value - 1) < 1e-4)
  const half = 1 - (2 * 20 * Math.log10(2)) / 80
  assert.ok(Math.abs(brightest(tone(1000, 0.5)).value - half) < 1e-4)
})

test('high tones are further up; silence is black, loud as it is, whatever it stands beside', () => {
  const rows = [200, 1000, 4000].map((hertz) => brightest(tone(hertz, 0.5)).row)
  assert.ok(rows[0] > rows[1] && rows[1] > rows[2], rows.join())
  assert.ok(spectrogramPicture(new Sound(new Float32Array(1000), RATE)).every((value) => value === -1))
})

test('three equal planes, a frame for every 160 samples and one more', () => {
  for (const samples of [1, 159, 160, 161, 3200]) {
    const [channels, height, width] = spectrogramShape(samples)
    const picture = spectrogramPicture(tone(700, 0.3, samples))
    assert.equal([channels, height, width, picture.length], [3, 64, 1 + Math.floor(samples / 160), 3 * height * width])
    assert.equal(picture.slice(0, height * width), picture.slice(2 * height * width))
  }
})

test.run()
