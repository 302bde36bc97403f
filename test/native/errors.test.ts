import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SADA_ERROR_CODES, SadaError, type SadaErrorDetails } from '../../ts/errors.ts'
import { load } from '../../ts/index.ts'
import { asSadaError } from '../../ts/native/load.ts'

/** What errors of the addon, of the system and of callbacks become. */

const withCode = (code: unknown): Error => Object.assign(new Error('in its words'), { code })

test('the addon’s errors keep their code; of a stage or step no error has another one than those of the list', () => {
  for (const code of SADA_ERROR_CODES) assert.is((asSadaError(withCode(code)) as SadaError).code, code)
  for (const code of ['ENOENT', 'EACCES', 'EEXIST', 'ERR_INVALID_ARG_TYPE', 'constructor']) {
    for (const details of [{ stage: 'unet' }, { step: 0 }]) {
      const cause = withCode(code)
      const error = asSadaError(cause, details) as SadaError
      assert.instance(error, SadaError)
      assert.equal([error.code, error.cause], ['INTERNAL', cause])
      assert.match(error.message, 'in its words')
    }
  }
  assert.is((asSadaError(withCode('ABORTED')) as SadaError).code, 'DISPOSED')
})

test('fields that say nothing are left out', () => {
  const said = (details: SadaErrorDetails): string[] => Object.keys(new SadaError('INTERNAL', 'in words', details)).sort()
  assert.equal(said({}), ['code', 'name'])
  assert.equal(said({ argument: 'steps', stage: undefined, step: 0 }), ['argument', 'code', 'name', 'step'])
})

test('every code has its row in docs/errors.md', () => {
  const rows = readFileSync(join(__dirname, '..', '..', 'docs', 'errors.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
  const named = rows.flatMap((row) => row.split(' | ')[0].match(/[A-Z]+(_[A-Z]+)*/g) ?? [])
  for (const code of SADA_ERROR_CODES) assert.is(named.filter((each) => each === code).length, 1, code)
})

test('what is nobody’s but the caller’s stays what it is', () => {
  for (const error of [withCode('ENOENT'), withCode(20), new Error('plain'), 'text', undefined])
    assert.is(asSadaError(error), error)
})

test('a run whose callback fails rejects with the callback’s own error', async () => {
  const pipeline = await load('avatar')
  let thrown: unknown
  const onStep = (): void => {
    try {
      readFileSync('/nonexistent/picture')
    } catch (error) {
      thrown = error
      throw error
    }
  }
  const failure = await pipeline.generate({ prompt: 'a kid', steps: 2, onStep }).catch((error: unknown) => error)
  assert.is((failure as NodeJS.ErrnoException).code, 'ENOENT')
  assert.is(failure, thrown)
  await pipeline.dispose()
})

test.run()
