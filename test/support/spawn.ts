import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** As `npm run build` leaves them: half of the time of a start from the source. */
const CLI = join(__dirname, '..', '..', 'dist', 'cli')

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** An empty folder of its own for a test. */
export const emptyFolder = (): string => mkdtempSync(join(tmpdir(), 'sada-cli-'))

/** The command line that runs a binary. */
export const commandOf = (binary: 'sada' | 'sada-bench'): string[] => [process.execPath, join(CLI, `${binary}.js`)]

export function start(
  binary: 'sada' | 'sada-bench',
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): ChildProcess {
  const [node, ...rest] = commandOf(binary)
  return spawn(node, [...rest, ...args], {
    cwd,
    env: { ...process.env, NO_COLOR: undefined, FORCE_COLOR: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

export function ended(child: ChildProcess): Promise<Ended> {
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name]!.on('data', (chunk) => (text[name] += String(chunk)))
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code, signal) => resolve({ code, signal, ...text }))
  })
}

/** Runs a binary to its end. */
export function run(
  binary: 'sada' | 'sada-bench',
  args: readonly string[],
  cwd = emptyFolder(),
  env: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  return ended(start(binary, args, cwd, env))
}
