import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'
import type { Binding, Engine, Workspace } from '../../ts/native/types.ts'

export const addon = loadAddon()
export const fixture = (name: string): string => join(__dirname, '..', 'fixtures', 'onnx', `${name}.onnx`)
export const fixtureBytes = (name: string): Uint8Array => new Uint8Array(readFileSync(fixture(name)))
export const newEngine = (): Engine => new addon.Engine({ library: findOnnxRuntime() })

/** A new tensor with these values, bound under a name. */
export function bound(
  workspace: Workspace,
  name: string,
  values: ArrayLike<number>,
  dims: readonly number[] = [values.length],
): Binding {
  const tensor = workspace.allocate(values.length)
  workspace.write(tensor, 0, Float32Array.from(values))
  return { name, tensor, offset: 0, dims }
}

export function read(workspace: Workspace, { tensor, offset, dims }: Binding): number[] {
  const values = new Float32Array(dims.reduce((a, b) => a * b, 1))
  workspace.read(tensor, offset, values)
  return [...values]
}

export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => 'resolved',
    (error: { code?: string }) => error.code,
  )
}

/** The slow fixture: `rounds` of 1024 sines each; about 5 µs a round. */
export async function slowRun(engine: Engine, workspace: Workspace, rounds: number) {
  const { session } = await engine.load({ path: fixture('slow'), threads: 1 })
  const inputs = [bound(workspace, 'x', new Float32Array(1024).fill(1)), bound(workspace, 'count', [rounds], [])]
  const outputs = [bound(workspace, 'y', new Float32Array(1024))]
  return () => engine.run(workspace, [{ kind: 'stage', session, inputs, outputs }])
}
