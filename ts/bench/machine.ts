import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { findOnnxRuntime, loadAddon } from '../native/load.ts'
import { availableCpus } from '../native/threads.ts'
import { packageVersion } from '../version.ts'

const ROOT = join(__dirname, '..', '..')

/** What the figures were measured on. */
export function describeMachine() {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableCpus(),
    memory_gib: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    platform: `${process.platform}-${process.arch}`,
    instruction_set: loadAddon().instructionSet,
    load_average: Math.round(loadavg()[0] * 100) / 100,
  }
}

/** What the figures were measured with. */
export function describeVersions() {
  const addon = loadAddon()
  const engine = new addon.Engine({ library: findOnnxRuntime() })
  const onnxruntime = engine.version
  void engine.dispose()
  return { sada: packageVersion(), commit: commit(), node: process.versions.node, onnxruntime, addon: addon.version }
}

/** The checkout's commit; null in an installed package. */
function commit(): string | null {
  if (!existsSync(join(ROOT, '.git'))) return null
  try {
    return execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return null
  }
}
