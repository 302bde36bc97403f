import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { join } from 'node:path'

const root = join(__dirname, '..', '..')
const TYPESCRIPT = join(__dirname, 'typescript.cjs')

export interface ChildOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly nodeOptions?: readonly string[]
  readonly args?: readonly string[]
  readonly timeout?: number
}

/** What Node is started with to run a TypeScript file; workers inherit it. */
export const tsxArguments = (file: string): string[] => ['--require', TYPESCRIPT, file]

/**
 * Runs a TypeScript file in a process of its own. `signal` is SIGKILL where it did not end in time. Throws where it does not start; that is
 * tried twice: under Wine a process was once seen not to start.
 */
export function runScript(file: string, options: ChildOptions = {}): SpawnSyncReturns<string> {
  const { env, nodeOptions = [], args = [], timeout = 60_000 } = options
  const start = () =>
    spawnSync(process.execPath, [...nodeOptions, ...tsxArguments(file), ...args], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, ...env },
      timeout,
      killSignal: 'SIGKILL',
      maxBuffer: 2 ** 26,
    })
  const first = start()
  const ended = first.pid === 0 ? start() : first
  if (ended.pid === 0) throw ended.error!
  return ended
}
