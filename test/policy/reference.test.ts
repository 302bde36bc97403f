import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { MemberPolicy, Policy } from '../../ts/policy/policy.ts'
import { resolveOptions } from '../../ts/policy/options.ts'
import { reference } from '../../ts/policy/reference.ts'
import { CallbackNetwork } from '../../ts/sampler/callback-network.ts'
import { DenoisingLoop } from '../../ts/sampler/loop.ts'
import { split } from '../../ts/sampler/latents.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { JsWorkspace } from '../support/js-workspace.ts'
import { floats, mixtureOutput } from '../support/mixture.ts'

// Runs of the authors' published code, recorded in Python on an analytic denoiser (test/fixtures/sada/README.md).

const folder = join(__dirname, '../fixtures/sada')
const LENGTH = 256
const letters: Record<string, string> = { run: 'C', extrapolate: 'E', interpolate: 'L' }

interface Recorded {
  case: string
  solver: 'dpm' | 'euler' | 'flow'
  scheduler_class: string
  scheduler: Record<string, unknown>
  sada: { acc_range: [number, number]; lagrange_int: number; lagrange_step: number; lagrange_term: number; max_interval: number }
  steps: number
  guidance: number
  seeds: number[]
  rough: boolean
  sigmas: number[]
  timesteps: number[]
  init_noise_sigma: number
  noise: string
  kinds: string
  next: string
  criterion: (number | null)[]
  criterion_abs: (number | null)[]
  consulted: number[]
  coin_flips?: number[]
  latents: Record<string, string>
}

/** The policy with its decision taken from the recording where the authors' criterion is identically zero up to rounding. */
function guided(policy: Policy, trace: Recorded): Policy {
  const flips = new Set(trace.coin_flips)
  return {
    ...policy,
    begin(context) {
      const { options, members } = policy.begin(context)
      const wrap = (member: MemberPolicy): MemberPolicy => ({
        capacity: member.capacity,
        before: (step) => member.before(step),
        observe: (step, done) => member.observe(step, done),
        keeps: () => member.keeps(),
        after: (step, done, means, magnitude) =>
          member.after(step, done, flips.has(step) ? [trace.next[step] === 'C' ? 1 : -1] : means, magnitude),
      })
      return { options, members: members.map(wrap) }
    },
  }
}

async function replay(
  trace: Recorded,
): Promise<{ kinds: string; criteria: (number | undefined)[]; states: Map<number, Float32Array> }> {
  const { config } = parseSchedulerConfig({ ...trace.scheduler, _class_name: trace.scheduler_class })
  const flow = trace.solver === 'flow'
  const dynamic = trace.scheduler.use_dynamic_shifting === true
  const custom = flow
    ? { sigmas: Array.from({ length: trace.steps }, (_, i) => 1 - (i * (1 - 1 / trace.steps)) / (trace.steps - 1)) }
    : { steps: trace.steps }
  const schedule = createSchedule(config, { ...custom, ...(dynamic && { mu: trace.scheduler.base_shift as number }) })

  const given = {
    warmup: trace.sada.acc_range[0],
    end: trace.sada.acc_range[1],
    lagrangeStep: trace.sada.lagrange_step,
    lagrangeInterval: trace.sada.lagrange_int,
    lagrangeNodes: trace.sada.lagrange_term,
    maxConsecutive: trace.sada.max_interval,
  }
  const policy: Policy = {
    name: 'sada-reference',
    begin(context) {
      const options = resolveOptions(reference.options, given, context)
      return { options: { ...options }, members: reference.begin(options, context) }
    },
  }
  const members = trace.seeds.length
  const workspace = new JsWorkspace()
  const network = new CallbackNetwork(
    ({ sample, timestep, alpha, sigma }) => {
      const answer = new Float32Array(sample.length)
      for (let b = 0; b < sample.length / LENGTH; b++) {
        const options = { prediction: schedule.prediction, guidance: trace.guidance, rough: trace.rough }
        answer.set(mixtureOutput(sample.subarray(b * LENGTH, (b + 1) * LENGTH), { alpha, sigma }, timestep, options), b * LENGTH)
      }
      return answer
    },
    workspace,
    members,
    LENGTH,
  )
  const latents = split(
    floats(trace.noise).map((value) => value * Math.fround(trace.init_noise_sigma)),
    members,
  )
  const states = new Map<number, Float32Array>()
  const kinds: string[] = []
  const criteria: (number | undefined)[] = []
  const loop = new DenoisingLoop({
    solver: createSolver(schedule),
    network,
    policy: guided(policy, trace),
    workspace,
    latents,
    signal: new AbortController().signal,
    onStep({ step, members: all, state }) {
      kinds.push(letters[all[0].action])
      criteria.push(all[0].criterion === undefined ? undefined : all.reduce((sum, m) => sum + m.criterion!, 0) / all.length)
      states.set(step + 1, state())
    },
  })
  await loop.run()
  return { kinds: kinds.join(''), criteria, states }
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'gmm.json')) {
  const trace = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Recorded
  test(`${trace.case}: same decisions, states and criterion as the authors' code`, async () => {
    const { kinds, criteria, states } = await replay(trace)
    assert.is(kinds, trace.kinds)
    for (const [count, recorded] of Object.entries(trace.latents)) {
      const expected = floats(recorded)
      const level = trace.sigmas[Number(count)]
      // Euler's state is x/α: the recordings' tolerance is stated for x.
      const alpha = trace.solver === 'euler' ? 1 / Math.sqrt(1 + level ** 2) : 1
      const worst = states
        .get(Number(count))!
        .reduce((most, value, k) => Math.max(most, Math.abs(value - expected[k]) * alpha), 0)
      assert.ok(worst <= 1e-5, `state after ${count} steps differs by ${worst}`)
    }
    for (const step of trace.consulted) {
      if (trace.coin_flips?.includes(step)) continue
      const margin = Math.abs(criteria[step]! - trace.criterion[step]!) / trace.criterion_abs[step]!
      assert.ok(margin <= 3e-3, `criterion at step ${step} differs by ${margin} of its mean magnitude`)
    }
  })
}

test.run()
