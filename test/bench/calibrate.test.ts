import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { calibrateTeaCache } from '../../ts/bench/calibrate.ts'
import { load } from '../../ts/index.ts'
import { fitPolynomial } from '../../ts/policy/polynomial-fit.ts'
import { never } from '../../ts/sampler/abort.ts'
import { run } from '../support/spawn.ts'

const isNear = (found: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${found}, expected ${expected}`)

test('a polynomial is found again from its own values, also where x is small', () => {
  for (const unit of [1, 1e-3]) {
    const coefficients = [3, -2, 0.5, 7, -1].map((c, k) => c / unit ** (4 - k))
    const pairs = Array.from({ length: 9 }, (_, k) => {
      const x = (k / 8) * unit
      return [x, coefficients.reduce((value, c) => value * x + c, 0)] as const
    })
    const fit = fitPolynomial(pairs, 4)
    for (const [k, c] of coefficients.entries()) isNear(fit.coefficients[k], c, 1e-9)
    isNear(fit.rSquared, 1, 1e-12)
    assert.equal(fit.range, [0, unit])
  }
})

test('the line of least squares, by hand', () => {
  // Points (0, 0), (1, 1), (2, 1): slope ½, intercept 1/6; squares left 1/6 of 2/3 around the mean.
  const { coefficients, rSquared } = fitPolynomial(
    [
      [0, 0],
      [1, 1],
      [2, 1],
    ],
    1,
  )
  isNear(coefficients[0], 1 / 2, 1e-12)
  isNear(coefficients[1], 1 / 6, 1e-12)
  isNear(rSquared, 3 / 4, 1e-12)
})

test('too few different points are refused', () => {
  const repeated = [1, 1, 1, 2, 2, 2].map((x) => [x, x] as const)
  assert.throws(() => fitPolynomial(repeated, 2), /needs 3 different changes; the runs gave 2/)
  assert.equal(fitPolynomial(repeated, 1).rSquared > 1 - 1e-12, true)
})

test("the pairs are every step's change but the first, with the output's own change beside it", async () => {
  const pipeline = await load('avatar')
  try {
    const outputs: Float32Array[] = []
    const { trace } = await pipeline.generate({
      prompt: 'a teal robot',
      steps: 6,
      policy: { name: 'teacache', threshold: 0 },
      // The bundled model answers with the clean sample itself.
      onStep: ({ denoised }) => outputs.push(denoised()),
    })
    const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length
    for (const [i, { error, change }] of trace.members[0].steps.entries()) {
      if (i === 0) assert.equal([error, change], [undefined, undefined])
      else {
        const before = outputs[i - 1]
        isNear(error!, mean(outputs[i].map((value, k) => value - before[k])) / mean(before), 1e-5)
        assert.ok(change! > 0)
      }
    }
    const prompts = ['a robot', 'a kid'].map((prompt) => ({ prompt, kind: 'given' }))
    const advanced: string[] = []
    const progress = { start: () => {}, note: () => {}, advance: (_: number, task: string) => void advanced.push(task) }
    const generate = pipeline.generate.bind(pipeline)
    const found = await calibrateTeaCache(generate, { prompts, seeds: [3, 2n ** 64n - 1n], steps: 7 }, 1, progress, never)
    assert.equal([found.pairs, found.pictures, found.steps, found.coefficients.length], [12, 2, 7, 2])
    assert.equal(advanced, ['a robot', 'a kid'])
  } finally {
    await pipeline.dispose()
  }
})

test('sada calibrate prints the option that uses what it found, and sada takes it', async () => {
  const { code, stdout } = await run('sada', ['calibrate', 'teacache', '--samples', '1', '--steps', '8', '--degree', '2'])
  assert.is(code, 0)
  assert.match(stdout, /^teacache for avatar: flow-euler, 8 steps, guidance 3, 1 picture\nR² = 0?\.?\d+.* over 7 pairs/)
  const [policy] = /teacache:coefficients=\S+/.exec(stdout)!
  const used = await run('sada', ['a robot', '--steps', '8', '--policy', policy, '--json', '-o', '-'])
  assert.is(used.code, 0, used.stderr)
  const magcache = await run('sada', ['calibrate', 'magcache', '--samples', '2', '--steps', '5', '--json'])
  assert.is(JSON.parse(magcache.stdout).ratios.length, 5)
  const unknown = await run('sada', ['calibrate', 'teacash'])
  assert.equal([unknown.code, unknown.stdout], [2, ''])
  assert.match(unknown.stderr, /Did you mean "teacache"\?/)
  const single = await run('sada', ['calibrate', 'magcache', '--samples', '1', '--steps', '1'])
  assert.equal([single.code, single.stdout], [2, ''])
  assert.match(single.stderr, /"--steps" to be at least 2, received 1/)
})

test.run()
