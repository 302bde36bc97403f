import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const root = join(__dirname, '..', '..')
const headers = join(root, '..', 'shared', 'sdk', 'onnxruntime')
const header = join(headers, 'onnxruntime_c_api.h')
const own = readFileSync(join(root, 'native', 'engine', 'onnxruntime_api.h'), 'utf8')

/** The `kName = value` pairs of one of our enums. */
function constants(text: string, name: string): [string, number][] {
  const body = new RegExp(`enum ${name}[^{]*{([^}]*)}`).exec(text)![1]
  return [...body.matchAll(/k(\w+) = (\d+)/g)].map(([, key, value]) => [key, Number(value)])
}

/** The functions of `struct OrtApi` in their order: the index of each is its slot. */
function apiFunctions(text: string): string[] {
  const from = text.indexOf('struct OrtApi {')
  const body = text.slice(from, text.indexOf('\n};', from)).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
  const member = /ORT_API2_STATUS\(\s*(\w+)|ORT_CLASS_RELEASE\(\s*(\w+)|\(\s*ORT_API_CALL\s*\*\s*(\w+)\s*\)/g
  return [...body.matchAll(member)].map(([, status, released, other]) => status ?? (released ? `Release${released}` : other))
}

/** The named constants of a C enum that counts on from the last given value. */
function enumValues(text: string, name: string): Map<string, number> {
  const body = new RegExp(`enum ${name}\\s*{([^}]*)}`).exec(text)![1].replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
  let next = 0
  return new Map(
    [...body.matchAll(/(\w+)(?:\s*=\s*(\d+))?\s*(?:,|$)/g)].map(([, key, value]) => {
      next = value === undefined ? next : Number(value)
      return [key, next++]
    }),
  )
}

if (existsSync(header)) {
  const theirs = readFileSync(header, 'utf8')

  test('every slot used is the function of that name in the real header', () => {
    const functions = apiFunctions(theirs)
    const slots = constants(own, 'Slot')
    assert.ok(slots.length > 30 && functions.length > 260, `${slots.length} of ${functions.length}`)
    for (const [name, slot] of slots) assert.is(functions[slot], name, `slot ${slot}`)
  })

  test('element types and error codes are those of the real header', () => {
    const types = enumValues(theirs, 'ONNXTensorElementDataType')
    for (const [name, value] of constants(own, 'ElementType')) {
      assert.is(types.get(`ONNX_TENSOR_ELEMENT_DATA_TYPE_${name.toUpperCase()}`), value, name)
    }
    const codes = enumValues(readFileSync(join(headers, 'onnxruntime_error_code.h'), 'utf8'), 'OrtErrorCode')
    const known = [...codes].map(([key, value]) => [key.replace(/_/g, ''), value] as const)
    for (const [name, value] of constants(own, 'ErrorCode')) {
      assert.is(known.find(([key]) => key === `ORT${name.toUpperCase()}`)?.[1], value, name)
    }
  })
} else {
  test.skip('slots against the real header', () => {})
  console.log(`SKIPPED slots against the real header: ${header} is not here`)
}

test.run()
