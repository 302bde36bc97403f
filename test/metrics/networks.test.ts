import { copyFileSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readNetwork } from '../../ts/metrics/network-files.ts'
import { SadaError } from '../../ts/errors.ts'
import { MetricNetworks } from '../../ts/metrics/networks.ts'
import { NETWORKS } from '../support/metrics.ts'
import { emptyFolder } from '../support/spawn.ts'

const FILES = ['lpips-alex.json', 'lpips-alex.trunk.onnx']
const sidecar = JSON.parse(readFileSync(join(NETWORKS, 'lpips-alex.json'), 'utf8')) as Record<string, any>

/** A copy of the network, its sidecar with some fields replaced. */
function copied(change: Record<string, unknown> = {}): string {
  const folder = emptyFolder()
  for (const file of FILES) copyFileSync(join(NETWORKS, file), join(folder, file))
  writeFileSync(join(folder, FILES[0]), JSON.stringify({ ...sidecar, ...change }))
  return folder
}
async function refusal(folder: string | undefined, allowUnpublished = true): Promise<{ code: string; reason: string }> {
  const answer = await readNetwork(folder, 'lpips-alex', allowUnpublished)
  if (!('unavailable' in answer)) throw new Error('it was read')
  return answer.unavailable
}

test('what is missing is said, with what makes it', async () => {
  for (const folder of [undefined, emptyFolder()]) {
    const { code, reason } = await refusal(folder)
    assert.is(code, 'no-weights')
    assert.match(reason, /"lpips-alex".*models\/metrics\/convert_lpips\.py/)
  }
})

test('weights other than the published ones are refused unless asked for', async () => {
  const { code, reason } = await refusal(NETWORKS, false)
  assert.is(code, 'unpublished-weights')
  assert.match(reason, /trunk came from narrow random trunk with sha256 [0-9a-f]{64}, not 7be5be79/)
  assert.match((await refusal(copied({ sources: {} }), false)).reason, /does not say where its trunk came from/)
  assert.not('unavailable' in (await readNetwork(NETWORKS, 'lpips-alex', true)))
  const published = {
    trunk: { file: 'alexnet-owt-7be5be79.pth', sha256: '7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02' },
    linear: { file: 'alex.pth', sha256: 'df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0' },
  }
  assert.not('unavailable' in (await readNetwork(copied({ sources: published }), 'lpips-alex', false)))
})

test('damaged files are refused, and the place is named', async () => {
  const graphs = (change: object) => ({ graphs: { trunk: { ...sidecar.graphs.trunk, ...change } } })
  for (const [change, pattern] of [
    [graphs({ sha256: '0'.repeat(64) }), /its sha256 is [0-9a-f]{64}, not 0000/],
    [graphs({ file: 'other.onnx' }), /unknown \(ENOENT/],
    [graphs({ file: '../trunk.onnx' }), /plain file name inside the folder at \/graphs\/trunk\/file/],
    [{ linear: [[1], [1]] }, /at \/linear/],
    [{ linear: [[1], [1], [1], [1], [-1]] }, /at \/linear\/4\/0/],
    [{ schema: 'sada-metric-network/2' }, /at \/schema/],
    [{ network: 'inception-fid' }, /at \/network/],
  ] as const) {
    const { code, reason } = await refusal(copied(change))
    assert.is(code, 'damaged-weights', reason)
    assert.match(reason, pattern)
  }
  const folder = copied()
  writeFileSync(join(folder, FILES[0]), '{')
  assert.match((await refusal(folder)).reason, /JSON/)
})

test('a graph that ONNX Runtime cannot read is damage; a network is opened once', async () => {
  const folder = emptyFolder()
  const bytes = Buffer.from('no graph')
  const { createHash } = await import('node:crypto')
  const trunk = { file: 'x.onnx', sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length }
  writeFileSync(join(folder, 'x.onnx'), bytes)
  writeFileSync(join(folder, FILES[0]), JSON.stringify({ ...sidecar, graphs: { trunk } }))
  const networks = new MetricNetworks({ folder, allowUnpublished: true, threads: 1 })
  const answer = await networks.open('lpips-alex')
  assert.is('unavailable' in answer && answer.unavailable.code, 'damaged-weights')
  assert.is(await networks.open('lpips-alex'), answer)
  await networks.dispose()
  await networks.dispose()
  assert.is(await networks.open('lpips-alex').catch((error: SadaError) => error.code), 'DISPOSED')
})

test('networks disposed of while one is opened: neither it nor an engine is there afterwards', async () => {
  // How far opening has come by then is up to the machine; from before the first file to behind the last.
  for (const ms of [undefined, 0, 1, 2, 4, 8]) {
    const networks = new MetricNetworks({ folder: NETWORKS, allowUnpublished: true, threads: 1 })
    let isDisposed = false
    const opening = networks.open('clip-vit-b-32').then(
      (answer) => ('unavailable' in answer ? answer.unavailable.reason : isDisposed ? 'opened' : 'before'),
      (error: SadaError) => error.code,
    )
    if (ms !== undefined) await new Promise((resolve) => setTimeout(resolve, ms))
    isDisposed = true
    await networks.dispose()
    assert.ok(['DISPOSED', 'before'].includes(await opening), await opening)
    assert.is((networks as unknown as { engine: unknown }).engine, undefined)
  }
})

test("a CLIP without its tokenizer's files is damaged, and the file is named", async () => {
  const folder = emptyFolder()
  cpSync(NETWORKS, folder, { recursive: true })
  const tokenizer = join(folder, 'clip-vit-b-32.tokenizer')
  const said = async (): Promise<string> => {
    const networks = new MetricNetworks({ folder, allowUnpublished: true, threads: 1 })
    const answer = await networks.open('clip-vit-b-32')
    await networks.dispose()
    return 'unavailable' in answer ? `${answer.unavailable.code}: ${answer.unavailable.reason}` : 'opened'
  }
  assert.is(await said(), 'opened')
  writeFileSync(join(tokenizer, 'vocab.json'), '{')
  assert.match(await said(), /^damaged-weights: .*vocab\.json: /)
  rmSync(tokenizer, { recursive: true })
  assert.match(await said(), /^damaged-weights: .*clip-vit-b-32\.tokenizer holds no tokenizer/)
})

test('a network of a name that there is not is refused', async () => {
  const networks = new MetricNetworks({ folder: NETWORKS })
  const { code, message } = await networks.open('lpips-vgg' as never).then(
    () => new SadaError('INTERNAL', 'opened'),
    (error: SadaError) => error,
  )
  assert.is(code, 'UNKNOWN_NAME')
  assert.match(message, /Unknown network "lpips-vgg".*lpips-alex/)
})

test('a run of a graph that there is not, and values that do not fill their shape, are refused', async () => {
  const networks = new MetricNetworks({ folder: NETWORKS, allowUnpublished: true, threads: 1 })
  const network = await networks.open('lpips-alex')
  if ('unavailable' in network) throw new Error(network.unavailable.reason)
  const outputs = { tap0: [1, network.sidecar.linear[0].length, 7, 7] }
  const said = async (graph: string, length: number): Promise<unknown> =>
    network.run(graph as 'trunk', { picture: { dims: [1, 3, 32, 32], values: new Float32Array(length) } }, outputs).then(
      ({ tap0 }) => tap0.length,
      ({ code, argument }: SadaError) => [code, argument],
    )
  assert.is(
    await said('trunk', 3072),
    outputs.tap0.reduce((a, b) => a * b),
  )
  for (const length of [0, 3071, 3073]) assert.equal(await said('trunk', length), ['INVALID_ARGUMENT', 'inputs.picture.values'])
  assert.equal(await said('trunks', 3072), ['UNKNOWN_NAME', 'graph'])
  await networks.dispose()
})

test('options of a wrong name or type are refused by name', () => {
  for (const [options, argument] of [
    [{ folder: 7 }, 'folder'],
    [{ threads: 1.5 }, 'threads'],
    [{ allowUnpublished: 'yes' }, 'allowUnpublished'],
    [{ weights: 'x' }, 'weights'],
  ] as [object, string][]) {
    try {
      new MetricNetworks(options)
      assert.unreachable()
    } catch (error) {
      assert.ok(error instanceof SadaError, String(error))
      assert.match(error.message, argument)
    }
  }
})

test.run()
