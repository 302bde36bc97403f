import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { calledBy, slotsOf, slotsOfHeaders, type Slots } from '../support/interface-tables.ts'

// TensorRT for RTX is called by TensorRT's public headers, and where those lack a function, by its place in a table. No machine here runs
// its contexts; but NVIDIA's own bindings for Python, compiled from the headers of each version, have the same calls.

const root = join(__dirname, '../..')
const headers = spawnSync(process.execPath, [join(root, 'scripts/find-tensorrt.mjs')], { encoding: 'utf8' }).stdout
const bindings = join(root, 'build/tensorrt-bindings')
const versions = existsSync(bindings) ? readdirSync(bindings) : []

/** Interfaces of which nothing is run on the real library where there is no GPU. */
const WITH_GPU = ['ICudaEngine', 'IExecutionContext', 'IRuntimeConfig']
/** The places of native/engine/tensorrt_rtx.h and tensorrt_contexts.h; a destructor takes two. */
const LACKED_BY_HEADERS = {
  'IRuntimeConfig::createRuntimeCache': 5,
  'IRuntimeConfig::setRuntimeCache': 6,
  'IRuntimeConfig::setDynamicShapesKernelSpecializationStrategy': 8,
  'IRuntimeConfig::getDynamicShapesKernelSpecializationStrategy': 9,
  'IRuntimeCache::serialize': 2,
  'IRuntimeCache::reset': 4,
  'IBuilderConfig::getNbComputeCapabilities': 56,
  'IBuilderConfig::setComputeCapability': 57,
  'IBuilderConfig::getComputeCapability': 58,
}

const interfaceOf = (name: string): string => name.slice(0, name.indexOf('::'))

/** Whether a place is the same in both: by its own name, else (where the bindings have the call inside of others) by those before and after it. */
function isSame(name: string, ofHeaders: Slots, ofBindings: Slots): boolean {
  const slot = ofHeaders.get(name)!
  if (ofBindings.has(name)) return ofBindings.get(name) === slot
  const known = [...ofHeaders].filter(([each]) => interfaceOf(each) === interfaceOf(name) && ofBindings.has(each))
  const before = known.filter(([, at]) => at < slot).sort(([, a], [, b]) => b - a)[0]
  const after = known.filter(([, at]) => at > slot).sort(([, a], [, b]) => a - b)[0]
  return [before, after].every((each) => each !== undefined && ofBindings.get(each[0]) === each[1])
}

if (headers === '' || versions.length === 0 || spawnSync('objdump', ['--version']).status !== 0) {
  const why = headers === '' ? "TensorRT's headers are not here" : 'it takes what scripts/fetch-tensorrt.mjs brings, and objdump'
  console.log(`SKIPPED where functions of TensorRT for RTX are: ${why}`)
  test.skip('where functions of TensorRT for RTX are', () => {})
} else {
  const ofHeaders = slotsOfHeaders(headers)
  const sources = ['tensorrt_session.cpp', 'tensorrt_runtime.cpp'].map((file) => join(root, 'native/engine', file))
  const called = [...new Set(sources.flatMap((source) => calledBy(source, headers)))]
  const used = called.filter((name) => WITH_GPU.includes(interfaceOf(name)))

  test('what sada calls is found in its sources, and in the headers', () => {
    for (const each of WITH_GPU) assert.ok(used.filter((name) => interfaceOf(name) === each).length > 1, each)
    for (const each of ['IExecutionContext::enqueueV3(', 'ICudaEngine::createRuntimeConfig('])
      assert.ok(
        used.some((name) => name.startsWith(each)),
        each,
      )
    assert.equal(
      used.filter((name) => !ofHeaders.has(name)),
      [],
    )
  })

  for (const version of versions) {
    const ofBindings = slotsOf(join(bindings, version, 'tensorrt_rtx_bindings/tensorrt_rtx.so'))

    test(`${version}: what sada calls is where the headers of TensorRT have it`, () => {
      assert.equal(
        used.filter((name) => !isSame(name, ofHeaders, ofBindings)),
        [],
      )
    })

    test(`${version}: what those headers lack is where sada calls it`, () => {
      const places = Object.keys(LACKED_BY_HEADERS).map((name) => {
        const found = [...ofBindings].filter(([each]) => each.startsWith(`${name}(`))
        return [name, found.length === 1 ? found[0][1] : undefined]
      })
      assert.equal(Object.fromEntries(places), LACKED_BY_HEADERS)
    })

    test(`${version}: functions that differ, of which sada calls none, are seen to differ`, () => {
      const name = 'IExecutionContext::setCommunicator(void*)'
      assert.equal([ofHeaders.get(name), ofBindings.get(name)], [52, 53])
      assert.not(isSame(name, ofHeaders, ofBindings))
    })
  }
}

test.run()
