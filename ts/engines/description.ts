import { createHash } from 'node:crypto'

/** How engines are built, as far as their description does not say it. 2: those of TensorRT for RTX allocate nothing when they run. */
const FORMAT = 'sada-engine/2'

/** What an engine was made from and for. Two engines with the same description are the same. */
export interface EngineDescription {
  readonly model: string
  readonly stage: string
  /** SHA-256 of the ONNX file and of the weights beside it. */
  readonly source: string
  readonly flavour: string
  readonly version: string
  /** Compute capabilities it was built for; none: the GPU named by `gpu`. */
  readonly targets: readonly number[]
  /** Name, compute capability and driver of the GPU it was built on; absent for named targets. */
  readonly gpu?: string
  readonly profiles: unknown
}

/** The name under which an engine is kept: SHA-256 of its description. */
export function engineKey(description: EngineDescription): string {
  // Model and stage are names for people: what the engine is made from is `source`.
  const decisive = Object.entries(description).filter(([name]) => name !== 'model' && name !== 'stage')
  return createHash('sha256')
    .update(JSON.stringify([FORMAT, ...decisive.sort(([a], [b]) => (a < b ? -1 : 1))]))
    .digest('hex')
}

/** What the builder measured holds for this library and these targets, whatever the network. */
export function timingKey({ flavour, version, targets, gpu }: EngineDescription): string {
  const decisive = ['sada-timing/1', flavour, version, targets, gpu ?? null]
  return createHash('sha256').update(JSON.stringify(decisive)).digest('hex')
}
