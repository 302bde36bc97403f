import Table from 'cli-table3'
import { buildEngines, targetOf, type BuildTarget } from '../engines/build.ts'
import { EngineCache } from '../engines/cache.ts'
import { openTensorRt } from '../engines/library.ts'
import { prepareShipped, writeShipped } from '../engines/shipped.ts'
import { findGpu, inspectGpus } from '../native/gpu.ts'
import type { TensorRtBuilder } from '../native/types.ts'
import { WAITING, type BuildProgress } from '../plan/device-engine.ts'
import { filesForEngines, load } from '../pipeline/load.ts'
import { findDescribedModel } from '../pipeline/model-folder.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { EngineSizes } from '../plan/engine-sizes.ts'
import type { EngineSettings } from '../plan/model.ts'
import type { DeviceSetting } from '../native/gpu.ts'
import type { GenerateArguments } from './generate.ts'
import { engineSizesFor } from './request.ts'
import { isLive } from './terminal.ts'

export interface BuildArguments extends Pick<GenerateArguments, 'count' | 'width' | 'height' | 'seconds'> {
  readonly model: string
  readonly target?: readonly string[]
  readonly out?: string
  readonly tensorrt?: string
  readonly json: boolean
}

/** Where a command line has a model run. */
export interface DeviceArguments {
  readonly threads?: number
  readonly device?: string
  readonly engine?: string
}

/** Where the network of a model runs: `cpu`, `cuda:<index>`, with ` tensorrt` behind it where that runs it, or `webgpu`. */
export const networkDevice = ({ engine }: DeviceArguments, { device }: Pick<Pipeline, 'device'>): string =>
  engine === 'webgpu' ? engine : engine === 'tensorrt' ? `${device.name} tensorrt` : device.name

/** Loads a model where the command line says, with progress on stderr where engines are built. */
export async function loadOn(
  model: string,
  { threads, device, engine }: DeviceArguments,
  engineSizes: EngineSizes,
  signal: AbortSignal,
): Promise<Pipeline> {
  await findDescribedModel(model)
  return load(model, {
    threads,
    device: device as DeviceSetting | undefined,
    engine: engine as EngineSettings['engine'],
    engineSizes,
    signal,
    onBuild: isLive(process.stderr) ? showProgress : showWaiting,
  })
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
const shownTargets = (targets: readonly number[], gpu?: string): string =>
  targets.length > 0 ? targets.map((target) => `sm_${target}`).join(' ') : (gpu ?? 'all')

/** What `sada engines list` prints. */
export async function listEngines(json: boolean): Promise<string> {
  const cache = new EngineCache()
  const engines = await cache.list()
  if (json) return JSON.stringify({ folder: cache.folder, engines }, undefined, 2) + '\n'
  if (engines.length === 0) return `No engines are kept in ${cache.folder}.\n`
  const table = new Table({ head: ['model', 'stage', 'for', 'library', 'size', 'last used'], style: { head: [], border: [] } })
  for (const { model, stage, targets, gpu, flavour, version, bytes, usedAt } of engines) {
    const used = usedAt.toISOString().slice(0, 16).replace('T', ' ')
    table.push([model, stage, shownTargets(targets, gpu), `${flavour} ${version}`, megabytes(bytes), used])
  }
  return `${cache.folder}\n${table.toString()}\n`
}

/** Builds the engines of a model, with progress on stderr; returns what `sada engines build` prints. */
export async function buildModelEngines(
  { model, target, out, tensorrt, json, ...sizes }: BuildArguments,
  signal: AbortSignal,
): Promise<string> {
  if (out !== undefined) await prepareShipped(out)
  const builder = openTensorRt(tensorrt)
  const startedAt = performance.now()
  const onBuild = process.stderr.isTTY ? showProgress : showWaiting
  const options = { ...(await targetsOf(builder, target)), signal, onBuild }
  const engines = await buildEngines(
    builder,
    await filesForEngines(await findDescribedModel(model), { engineSizes: engineSizesFor(sizes) }),
    new EngineCache(),
    options,
  )
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  const trusted = out === undefined ? undefined : await writeShipped(out, engines)
  const built = engines.map(({ description: { stage, targets, gpu }, engine }) => ({
    stage,
    for: shownTargets(targets, gpu),
    bytes: engine.length,
  }))
  const seconds = (performance.now() - startedAt) / 1000
  const library = `${builder.flavour} ${builder.version}`
  if (json) return JSON.stringify({ model, library, seconds, sha256: trusted, engines: built }, undefined, 2) + '\n'
  const lines = built.map((each) => `  ${each.stage.padEnd(12)} ${each.for.padEnd(16)} ${megabytes(each.bytes)}`)
  if (out !== undefined) lines.push(`${out}: engines.json has the SHA-256 ${trusted}; load() takes it as "engines.sha256"`)
  return `${model}, ${library}, ${seconds.toFixed(1)} s\n${lines.join('\n')}\n`
}

/** What was asked for, else the GPU of this machine; where it has none, what the library can without. */
async function targetsOf(builder: TensorRtBuilder, targets: readonly string[] | undefined): Promise<BuildTarget> {
  if (targets !== undefined && targets.length > 0) return { targets }
  const found = await findGpu()
  if (found.gpu === undefined) return {}
  return targetOf(builder, found.info, (await inspectGpus(found.info.index))!.report)
}

/** What `sada engines clear` prints. */
export async function clearEngines(): Promise<string> {
  const { engines, bytes } = await new EngineCache().clear()
  return `${engines} engines deleted, ${megabytes(bytes)}.\n`
}

/** Overwrites the line on stderr. */
function showProgress({ stage, phase, done, of }: BuildProgress): void {
  process.stderr.write(`\r\x1b[K${stage}: ${phase}${phase === WAITING ? '' : ` ${done}/${of}`}`)
}

/** Where lines stay: only that nothing is done here for a while. */
export function showWaiting({ stage, phase }: BuildProgress): void {
  if (phase === WAITING) process.stderr.write(`${stage}: ${phase}\n`)
}
