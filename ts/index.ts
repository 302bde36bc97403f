// TypeScript gives no types of Node unasked from version 6 on.
/// <reference types="node" preserve="true" />
import type * as Loading from './pipeline/load.ts'
import type { Pipeline } from './pipeline/pipeline.ts'
import type { FamilySettings } from './families/index.ts'
import type { MemoryQuote } from './sampler/memory.ts'
import type * as Sampling from './sampler/sample.ts'
import type { SampleOptions, SampleResult } from './sampler/sample.ts'

export { SADA_ERROR_CODES, SadaError, type SadaErrorCode, type SadaErrorDetails } from './errors.ts'
export type { GenerateOptions, GenerateStep } from './pipeline/options.ts'
export type { GenerateResult, Pipeline, PipelineEvent } from './pipeline/pipeline.ts'
export type { Picture } from './pipeline/image.ts'
export type { FamilyName, FamilySettings } from './families/index.ts'
export type { Control, FamilyRequest, Pixels } from './families/family.ts'
export type { Sound } from './pipeline/audio.ts'
export type { ControlOptions, ImageInput } from './pipeline/options.ts'
export type { DeviceSetting } from './native/gpu.ts'
export type { BuildProgress } from './plan/device-engine.ts'
export type { EngineSizes } from './plan/engine-sizes.ts'
export type { EngineSettings, TrustedEngines } from './plan/model.ts'
export type { KnownPolicy, PolicyName, PolicySpec } from './policy/spec.ts'
export type { Recording } from './policy/recording.ts'
export type { AuditReport } from './sampler/audit.ts'
export type { NetworkFunction, NetworkInput } from './sampler/callback-network.ts'
export type { Seed } from './sampler/latents.ts'
export type { SampleOptions, SampleResult } from './sampler/sample.ts'
export type { MemoryOptions, MemoryQuote, StorageChoice } from './sampler/memory.ts'
export type { MemberStep, MemberTrace, StepAction, StepEvent, Trace } from './sampler/trace.ts'

// Importing this module reads nothing else from disk: both entry points load what they need at their first call. By `require`, as test
// runners that run modules in contexts of their own have no `import()`.
/* eslint-disable @typescript-eslint/no-require-imports */
const pipeline = () => require('./pipeline/load.js') as typeof Loading
const sampler = () => require('./sampler/sample.js') as typeof Sampling
/* eslint-enable @typescript-eslint/no-require-imports */

/**
 * Loads a model: a bundled one by name (`'avatar'`), or a folder by its path or file: URL, that holds a `plan.json` or is in the layout of diffusers and
 * Optimum.
 * Rejects with a `SadaError`: INVALID_ARGUMENT, MODEL_NOT_FOUND, UNKNOWN_NAME, MANIFEST_INVALID, MODEL_CORRUPT, MODEL_TOO_LARGE, MODEL_CHANGED, RESOURCE_LIMIT,
 * SHAPE_INVALID, UNSUPPORTED, IO_MISMATCH, TOKENIZER_INVALID, INVALID_SCHEDULE, PATH_ESCAPE, PATH_UNSAFE, UNTRUSTED_CODE, OUT_OF_MEMORY or BACKEND_UNAVAILABLE;
 * with engines for a GPU NETWORK_FAILED, DEVICE_LOST, ENGINE_UNTRUSTED or ENGINE_INCOMPATIBLE as well; or with the reason of
 * `settings.signal`.
 */
export async function load(model: string | URL, settings?: FamilySettings): Promise<Pipeline> {
  return pipeline().load(model, settings)
}

/**
 * Samples with a network of your own: any function that answers with the guided prediction.
 * Rejects with a `SadaError`: INVALID_ARGUMENT, INVALID_SCHEDULE, UNKNOWN_NAME, UNSUPPORTED, NETWORK_FAILED, NETWORK_OUTPUT, NON_FINITE,
 * BACKEND_UNAVAILABLE or OUT_OF_MEMORY; or with the signal's reason, at once, when it fires.
 */
export async function sample(options: SampleOptions): Promise<SampleResult> {
  return sampler().sample(options)
}

/**
 * What `sample` takes with the same options, before anything is allocated. The network's own memory is not part of it. Rejects as `sample`
 * does for its options; INVALID_ARGUMENT where the run does not fit into `memory.budget`.
 */
export async function sampleMemory(options: SampleOptions): Promise<MemoryQuote> {
  return sampler().sampleMemory(options)
}
