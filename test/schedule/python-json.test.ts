import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SadaError } from '../../ts/errors.ts'
import { parsePythonJson } from '../../ts/schedule/python-json.ts'

test('standard JSON means what JSON.parse says', () => {
  const texts = [
    '{}',
    '[]',
    ' [ ] ',
    '0',
    '-0',
    '12.5e-3',
    '1E+2',
    '"a"',
    '"\\u00e9\\n\\"\\\\"',
    'true',
    'null',
    '[1, [2, {"a": {"b": []}}]]',
    '\t{"a" : 1 ,\n"b":"Infinity"}\r\n',
    '{"a":1,"a":2}',
    '{"NaN":"NaN, -Infinity"}',
  ]
  for (const text of texts) assert.equal(parsePythonJson(text), JSON.parse(text), text)
})

test('what Python adds: NaN, Infinity and -Infinity as values', () => {
  const parsed = parsePythonJson('{"a": NaN, "b": [Infinity, -Infinity], "c": "-Infinity"}') as Record<string, unknown>
  assert.ok(Number.isNaN(parsed.a))
  assert.equal([parsed.b, parsed.c], [[Infinity, -Infinity], '-Infinity'])
})

test('a key of __proto__ is a field like any other', () => {
  const parsed = parsePythonJson('{"__proto__": {"solver_order": 3}}') as Record<string, unknown>
  assert.is(Object.getPrototypeOf(parsed), Object.prototype)
  assert.is(parsed.solver_order, undefined)
})

test('what is not JSON is refused with its place', () => {
  const broken = [
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    "{'a':1}",
    '01',
    '1.',
    '.5',
    '+1',
    '--1',
    '- 1',
    'nan',
    'inf',
    '-NaN',
    'Infinity2',
    '1e',
    '0x10',
    '"a',
    '"\n"',
    '"\\x"',
    '"\\u12"',
    '[1 2]',
    '{"a" 1}',
    '[1]]',
    'None',
    'True',
    'undefined',
    '/* c */ 1',
    '1_000',
  ]
  for (const text of broken) assert.throws(() => parsePythonJson(text), isInvalid, text)
  assert.throws(
    () => parsePythonJson('{\n  "a": tru\n}'),
    /scheduler_config\.json is not valid JSON: expected a value, found "tru\\n}" at line 2, column 8/,
  )
})

test('size and depth are limited', () => {
  assert.throws(() => parsePythonJson(`"${'a'.repeat(2 ** 20)}"`), isInvalid)
  assert.throws(() => parsePythonJson('['.repeat(100_000)), isInvalid)
  assert.is((parsePythonJson(`"${'a'.repeat(900_000)}"`) as string).length, 900_000)
  assert.is((parsePythonJson(`"${'\\n'.repeat(400_000)}"`) as string).length, 400_000)
})

function isInvalid(error: Error): boolean {
  return error instanceof SadaError && error.code === 'INVALID_SCHEDULE' && error.argument === 'scheduler'
}

test.run()
