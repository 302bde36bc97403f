// What the kernels cost on this machine's GPU, beside a copy, an empty launch and PyTorch's separate operations; for verify-gpu.mjs.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

const LATENTS = { 'SDXL 65536': 65536, 'Flux 262144': 262144 }
const MEBIBYTES_16 = 16 * 2 ** 20
const NOT_MEASURED = 'not measured'

/** Lines of JSON that a program prints, or why there are none. */
function linesOf(program, args, env = {}) {
  const options = { encoding: 'utf8', timeout: 600_000, env: { ...process.env, ...env } }
  const { status, stdout, stderr, error } = spawnSync(program, args, options)
  if (error) return { reason: `${program} does not start` }
  if (status === 3) return { reason: stdout.trim() }
  if (status !== 0) throw new Error(`${program}: ${stderr || stdout}`)
  return {
    lines: stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line)),
  }
}

/** The kernels' own bench on a library of them, and PyTorch's, and what they say of the targets. */
export function measureSpeed(root, library) {
  const program = [join(root, 'build', 'sada_cuda_bench'), join(root, 'sada_cuda_bench')].find(existsSync)
  const own = program
    ? linesOf(program, ['--json'], { LD_LIBRARY_PATH: dirname(library) })
    : { reason: 'build/sada_cuda_bench is not built' }
  const torch = linesOf(process.env.SADA_PYTHON ?? 'python3', [join(root, 'cuda', 'bench_torch.py')])
  const shown = ({ lines, reason }) => lines ?? `${NOT_MEASURED}: ${reason}`
  return { kernels: shown(own), pytorch: shown(torch), targets: targetsOf(own.lines ?? [], torch.lines ?? []) }
}

/** Each target with what was measured of it, at its worst, and whether that is enough; `torch` and `kernels` are the benches' lines. */
export function targetsOf(kernels, torch) {
  const least = (values) => (values.length > 0 ? Math.min(...values) : undefined)
  const most = (values) => (values.length > 0 ? Math.max(...values) : undefined)
  const atLeast = (target, wanted, measured) => ({ target, wanted: `≥ ${wanted}`, ...judged(measured, (n) => n >= wanted) })
  const atMost = (target, wanted, measured) => ({ target, wanted: `≤ ${wanted}`, ...judged(measured, (n) => n <= wanted) })
  const steps = kernels.filter(({ kernel }) => kernel === 'step')
  const empty = kernels.find(({ kernel }) => kernel === 'empty')
  const moves = kernels.filter(({ kernel }) => /^(gather|scatter)/.test(kernel ?? ''))
  const [planes, tokens] = [true, false].map((is) => moves.filter(({ kernel }) => kernel.includes('channels first') === is))
  const large = (name) => kernels.filter(({ kernel, bytes }) => kernel === name && bytes >= MEBIBYTES_16)
  const pairs = Object.entries(LATENTS).flatMap(([name, elements]) => {
    const ours = steps.find(({ size }) => size === `1 x ${elements}`)
    const theirs = torch.find(({ kernel, size }) => kernel === 'step' && size === name)
    return ours ? [{ ours, theirs }] : []
  })
  const beside = pairs.filter(({ theirs }) => theirs !== undefined)
  return [
    atLeast('fused step of 16 MiB and more, percent of a copy', 80, least(large('step').map((each) => each.percentOfCopy))),
    atLeast('the same in float16', 80, least(large('step, float16').map((each) => each.percentOfCopy))),
    atMost('step of SDXL and Flux latents, empty launches', 1.5, empty && most(pairs.map(({ ours }) => ours.ms / empty.ms))),
    // An empty launch waits for the host, a replayed one does not: this is what the GPU alone makes of both.
    {
      target: 'the same, both replayed in a graph',
      wanted: '',
      measured: (empty && most(pairs.map(({ ours }) => ours.replayedMs / empty.replayedMs))) ?? NOT_MEASURED,
    },
    atLeast(
      'device time of a step, PyTorch over ours',
      20,
      least(beside.map(({ ours, theirs }) => theirs.deviceMs / ours.replayedMs)),
    ),
    atLeast('host time of a step, PyTorch over ours', 10, least(beside.map(({ ours, theirs }) => theirs.hostMs / ours.hostMs))),
    atLeast('gather and scatter of tokens, percent of a copy', 70, least(tokens.map((each) => each.percentOfCopy))),
    // Of every other token: planes give half of what a memory access brings, so the second of these says what the kernel makes of it.
    atLeast('gather and scatter in planes, percent of a copy', 70, least(planes.map((each) => each.percentOfCopy))),
    atLeast('the same, of a copy of the sectors touched', 70, least(planes.flatMap((each) => each.percentOfTouchedCopy ?? []))),
  ]
}

function judged(measured, isEnough) {
  return measured === undefined ? { measured: NOT_MEASURED } : { measured, met: isEnough(measured) }
}
