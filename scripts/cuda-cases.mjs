// The cases of every kernel against the CPU's bits (test/cuda), as a program that is given the library of kernels to run them on.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { runLimited } from './limited.mjs'

export const SECTIONS = ['step', 'tokens', 'select', 'convert', 'device', 'sada']
/** Its name in an offline bundle. */
export const PACKED = 'sada_cuda_cases'
/** NVIDIA's checkers, as commands. Calls that have to fail are among the cases; a kernel's error is told all the same. */
const CHECKERS = ['memcheck', 'racecheck', 'initcheck'].map((tool) => [
  tool,
  ['compute-sanitizer', '--tool', tool, '--error-exitcode', '9', '--report-api-errors', 'no'],
])
const LIMITS = { cpuSeconds: 900, wallSeconds: 1800 }

/** The program, built where its sources and a C++ compiler are, else the one that was packed; or why there is none. */
export function findCases(root) {
  const packed = join(root, PACKED)
  if (existsSync(join(root, 'test', 'cuda', 'cases.cpp'))) {
    const build = [join(root, 'scripts', 'test-cuda.mjs'), '--cases']
    const { status, stdout, stderr } = spawnSync(process.execPath, build, { encoding: 'utf8' })
    if (status === 0) return { program: stdout.trim().split('\n').at(-1) }
    if (!existsSync(packed)) return { reason: `the cases of the kernels were not built: ${stderr.trim() || stdout.trim()}` }
  }
  return existsSync(packed) ? { program: packed } : { reason: `there is neither ${basename(packed)} nor what it is built of` }
}

/** Runs sections one after another, by way of `checker`, a command that takes the program; what each counted. Throws where one fails. */
export async function runCases(program, library, sections, checker = []) {
  const counted = {}
  for (const section of sections) {
    const [command, ...args] = [...checker, program, library, section]
    const { code, output } = await runLimited(command, args, LIMITS)
    counted[section] = /^\d+ passed, \d+ failed$/m.exec(output)?.[0]
    if (code !== 0 || counted[section] === undefined) throw new Error(`${section} ended with ${code}: ${output.slice(-2000)}`)
  }
  return counted
}

/**
 * All checkers at once, each over `command` and over the sections of the cases; or why there are none. Throws what the first of them finds, when
 * all have ended: they would go on beside what is measured next.
 */
export async function runUnderCheckers({ program, reason }, library, sections, command) {
  if (spawnSync('compute-sanitizer', ['--version']).status !== 0) return 'not measured: compute-sanitizer is not installed'
  const check = async ([tool, checker]) => {
    try {
      const [first, ...args] = [...checker, ...command]
      const { code, output } = await runLimited(first, args, LIMITS)
      if (code !== 0) throw new Error(`exit ${code}: ${output.slice(-2000)}`)
      return [
        tool,
        {
          kernels: 'no errors',
          cases: program ? await runCases(program, library, sections, checker) : `not measured: ${reason}`,
        },
      ]
    } catch (error) {
      throw new Error(`${tool}: ${error.message}`, { cause: error })
    }
  }
  const checked = await Promise.allSettled(CHECKERS.map(check))
  const failure = checked.find(({ status }) => status === 'rejected')
  if (failure) throw failure.reason
  return Object.fromEntries(checked.map(({ value }) => value))
}
