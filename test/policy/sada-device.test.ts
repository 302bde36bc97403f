import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Slice, StepMember } from '../../ts/native/types.ts'
import { createPolicy } from '../../ts/policy/index.ts'
import { run, type Decision, type MemberPolicy, type RunContext } from '../../ts/policy/policy.ts'
import { recorded } from '../../ts/policy/recording.ts'
import { Member, type PreparedStep } from '../../ts/sampler/member.ts'
import { encodeSadaProgram, NAMES, type SadaNumbers } from '../../ts/sampler/sada-program.ts'
import { parseSchedulerConfig, type PredictionType } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver, type Solver } from '../../ts/solver/solver.ts'
import { JsWorkspace } from '../support/js-workspace.ts'
import { Numbers } from '../support/numbers.ts'
import { configs, LENGTH, runInJs } from '../support/run.ts'

/** Decisions on the device (native/math/sada_*.h) against the policy of ts/policy/sada.ts: the same steps, the same weights, bit for bit. */

interface Measured {
  readonly refused: boolean
  readonly square: number
  readonly criterion: number
  readonly along: number
  readonly length: number
  readonly magnitude: number
}

interface Case {
  readonly solver: Solver
  readonly options: Partial<SadaNumbers>
  readonly guidance: number
  readonly measured: readonly Measured[]
}

const output = (guidance: number): Record<string, number> =>
  guidance === 1 ? { cond: 1 } : { cond: guidance, uncond: 1 - guidance }

function begin({ solver, options }: Pick<Case, 'solver' | 'options'>): { options: SadaNumbers; policy: MemberPolicy } {
  const context: RunContext = { solver, members: 1, guidance: 1, canPrune: false, tokens: 0, stages: [], reusable: [] }
  const begun = createPolicy({ name: 'sada', ...options }).begin(context)
  return { options: begun.options as unknown as SadaNumbers, policy: begun.members[0] }
}

/** What the TypeScript side does with these measurements, in the form of test/policy/sada_device.cpp's answer. */
function inTypeScript(each: Case, attempts: { all: number; skips: number }): number[] {
  const { solver, guidance, measured } = each
  const { policy } = begin(each)
  const member = new Member(0, policy, solver, new JsWorkspace(), new Float32Array(1))
  let computed: readonly number[] = [] // newest first
  const nameOf = (name: string): string => {
    const [, kind, step] = /^(x0|y)\[(\d+)\]$/.exec(name) ?? []
    return kind === undefined ? name : kind + (Number(step) === computed[0] ? 'Newest' : 'Older')
  }
  // Every buffer has its name's place in NAMES for its tensor, whatever the member keeps there.
  const buffers = new Proxy<Record<string, Slice>>(
    {},
    { get: (_, name) => ({ tensor: indexOf(nameOf(String(name))), offset: 0 }) },
  )
  const answer: number[] = []
  const attempt = (step: number, decision: Decision): PreparedStep => {
    const prepared = member.prepare(step, decision, { row: output(guidance), buffers })
    attempts.all++
    if (decision.kind === 'skip') attempts.skips++
    answer.push(Number(decision.kind === 'skip'), ...numbersOf(prepared.native))
    return prepared
  }
  for (const [step, { refused, magnitude, ...means }] of measured.entries()) {
    let prepared = attempt(step, policy.before(step))
    if (prepared.decision.kind === 'skip' && refused) {
      member.reject(prepared)
      prepared = attempt(step, run)
    }
    member.accept(prepared)
    const { square, criterion, along, length } = means
    const seen = [square, criterion, along, length].slice(0, prepared.native.sums.length - 1)
    const verdict = policy.after(step, prepared.decision, seen, magnitude)
    member.recycle()
    if (prepared.decision.kind === 'run') computed = [step, ...computed]
    answer.push(verdict.criterion ?? NaN, verdict.error ?? NaN)
  }
  return answer
}

const indexOf = (name: string): number => {
  const index = (NAMES as readonly string[]).indexOf(name)
  assert.ok(index >= 0, `a buffer "${name}"`)
  return index
}

/** A step's rows by the names of their buffers, and the number of its sums. */
function numbersOf({ inputs, rows, sums }: StepMember): number[] {
  const encoded = rows.map((row) => [
    row.inputs.length,
    ...row.inputs.flatMap((k, t) => [inputs[k].tensor as number, row.weights[t]]),
  ])
  return [encoded.length, ...encoded.flat(), sums.length]
}

function onDevice(program: string, cases: readonly Case[]): number[] {
  const input = cases.flatMap((each) => {
    const numbers = encodeSadaProgram(begin(each).options, each.solver, output(each.guidance), () => ({ scale: 1, level: 0 }))
    const measured = each.measured.flatMap((m) => [Number(m.refused), m.square, m.criterion, m.along, m.length, m.magnitude])
    return [numbers.length, ...numbers, ...measured]
  })
  const bytes = Buffer.from(Float64Array.from(input).buffer)
  const { status, stdout, stderr } = spawnSync(program, { input: bytes, maxBuffer: 1 << 30 })
  assert.is(status, 0, String(stderr))
  return [...new Float64Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.byteLength))]
}

/** Compares bit for bit; returns the share of the attempts that were skips. */
function compare(program: string, cases: readonly Case[]): number {
  const attempts = { all: 0, skips: 0 }
  const wanted = cases.flatMap((each) => inTypeScript(each, attempts))
  const got = onDevice(program, cases)
  assert.is(got.length, wanted.length)
  const wrong = wanted.findIndex((number, k) => !Object.is(number, got[k]))
  assert.is(wrong, -1, `number ${wrong} of ${wanted.length} is ${got[wrong]}, not ${wanted[wrong]}`)
  return attempts.skips / attempts.all
}

const solverOf = (scheduler: keyof typeof configs, steps: number, prediction?: PredictionType): Solver =>
  createSolver(createSchedule(parseSchedulerConfig(configs[scheduler]).config, { steps, prediction }))

/** Levels that repeat, over as many steps as can be skipped in a row and more. */
const repeating = (): Solver =>
  createSolver(
    createSchedule(parseSchedulerConfig(configs['flow-euler']).config, {
      sigmas: [1, 1, 0.9, 0.9, 0.9, 0.8, 0.7, 0.6, ...Array<number>(7).fill(0.5), 0.4, 0.4, 0.3, 0.2, 0.2, 0.2, 0.2, 0.1],
    }),
  )

const REPEATING = repeating()

/** Measurements of every size, decisions on every side of every option. */
function randomCase(numbers: Numbers): Case {
  const share = (): number => numbers.next() / 2 ** 32
  const pick = <T>(all: readonly T[]): T => all[numbers.below(all.length)]
  const steps = 1 + numbers.below(40)
  const scheduler = pick(['flow-euler', 'dpm++', 'euler'] as const)
  const prediction = scheduler === 'flow-euler' ? undefined : pick(['epsilon', 'v_prediction', 'sample'] as const)
  const options = pick<Partial<SadaNumbers>>([
    {},
    { tolerance: 0.1, maxConsecutive: 9 },
    { tolerance: 10, warmup: 3, tail: 1, slope: share(), memory: 0.9 * share() },
    { unstable: 1 + 10 * share(), slope: 0 },
    { tolerance: 0.1, damping: 4 * share(), maxConsecutive: 9 },
  ])
  const measured = Array.from({ length: steps }, () => ({
    refused: numbers.below(20) === 0,
    square: numbers.below(30) === 0 ? 0 : 10 ** (-8 * share()),
    criterion: (share() - 0.7) * 10 ** (-6 * share()),
    along: (share() - 0.7) * 10 ** (-3 * share()),
    length: numbers.below(30) === 0 ? 0 : 10 ** (-3 * share()),
    magnitude: 0.1 + share(),
  }))
  const solver = steps === REPEATING.schedule.steps ? REPEATING : solverOf(scheduler, steps, prediction)
  return { solver, options, guidance: pick([1, 7.5, 3, 0]), measured }
}

/** What real runs measured. */
async function recordedCase(scheduler: keyof typeof configs, steps: number, seed: number): Promise<Case> {
  const options = seed % 2 === 0 ? {} : { damping: 2 }
  const notes = recorded(createPolicy({ name: 'sada', ...options }))
  const latents = [new Numbers(seed).floats(LENGTH)]
  await runInJs({ scheduler, steps, policy: notes.policy, latents })
  const measured = notes.take().members[0].map(({ means, magnitude }) => {
    const [square = 0, criterion = 0, along = 0, length = 0] = means.map((mean) => mean ?? 0)
    return { refused: false, square, criterion, along, length, magnitude }
  })
  return { solver: solverOf(scheduler, steps), options, guidance: 1, measured }
}

const compiler = process.env.CXX ?? 'g++'
if (spawnSync(compiler, ['--version']).status !== 0) {
  console.log(`SKIPPED: there is no ${compiler}`)
  test.skip('decisions on the device', () => {})
} else {
  const folder = mkdtempSync(join(tmpdir(), 'sada-device-'))
  const program = join(folder, 'sada_device')

  test.before(() => {
    const flags = ['-std=c++17', '-O1', '-Wall', '-Wextra', '-Werror', '-ffp-contract=off', '-o', program]
    const { status, stderr } = spawnSync(compiler, [...flags, join(__dirname, 'sada_device.cpp')])
    assert.is(status, 0, String(stderr))
  })
  test.after(() => rmSync(folder, { recursive: true }))

  test('thousands of random measurements: the decisions, the weights of every row and the verdicts of the TypeScript policy', () => {
    const numbers = new Numbers(20260101)
    const cases = Array.from({ length: 2000 }, () => randomCase(numbers))
    const skipped = compare(program, cases)
    assert.ok(skipped > 0.2 && skipped < 0.8, `${skipped} of the steps were skipped: too few, or too many, to say anything`)
  })

  for (const scheduler of ['flow-euler', 'dpm++', 'euler'] as const) {
    test(`${scheduler}: what real runs measured`, async () => {
      const cases = await Promise.all([20, 28, 50].map((steps, seed) => recordedCase(scheduler, steps, seed + 1)))
      assert.ok(compare(program, cases) > 0)
    })
  }

  test('a program that is cut, too long or out of range is refused', () => {
    const numbers = encodeSadaProgram(
      begin({ solver: solverOf('euler', 4), options: {} }).options,
      solverOf('euler', 4),
      { cond: 1 },
      () => ({ scale: 1, level: 0 }),
    )
    for (const [bad, reason] of [
      [numbers.subarray(0, -1), 'more numbers'],
      [Float64Array.from([...numbers, 0]), `${numbers.length} numbers, received ${numbers.length + 1}`],
      [numbers.map((n, k) => (k === 5 ? -1 : n)), 'integer from 0 to 1000'],
    ] as const) {
      const input = Buffer.from(Float64Array.from([bad.length, ...bad]).buffer)
      const { status, stderr } = spawnSync(program, { input })
      assert.is(status, 1)
      assert.match(String(stderr), reason)
    }
  })
}

test.run()
