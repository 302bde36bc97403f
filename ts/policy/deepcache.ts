import { SadaError } from '../errors.ts'
import type { PolicyDefinition } from './definition.ts'
import { run, type Decision, type Features, type MemberPolicy, type RunContext, type StageRange } from './policy.ts'
import { chainOf, unsupported } from './stages.ts'

export interface DeepCacheOptions {
  interval: number
  branch: number
  uniform: boolean
  center: number
  power: number
}

/**
 * DeepCache (Ma et al. 2023): the deep part of the network is computed at some steps only, at the others what it gave last is used again.
 * In a UNet the deep part is what lies between the ends of a skip connection, as its plan names it: that of branch 0 is the outermost one's, so that
 * what runs is the first convolution, the last layer and the head. Where the blocks are one chain it is all of them but the last.
 */
export const deepCache: PolicyDefinition<DeepCacheOptions> = {
  name: 'deepcache',
  about: 'Computes the deep stages at every n-th step, and reuses what they gave in between; the same on every prompt.',
  source: 'DeepCache, published code (branch 0)',
  options: {
    interval: {
      about: 'compute the deep stages at one step of every n; 1: at all (published: 3 and 5)',
      default: 3,
      min: 1,
      max: 1000,
      integer: true,
    },
    branch: {
      about: 'skip connection around the deep part, from the outermost in; UNets only (published: 0)',
      default: 0,
      min: 0,
      max: 100,
      integer: true,
    },
    uniform: { about: 'equal intervals; else denser around `center`', default: true, min: 0, max: 1 },
    center: {
      about: 'step around which computed steps are densest, where not uniform',
      default: 15,
      min: 0,
      max: 999,
      integer: true,
    },
    power: { about: 'how much denser, where not uniform (published: 1.2 to 1.4)', default: 1.4, min: 1.02, max: 10 },
  },
  begin(options, context) {
    const range = deepRange(options.branch, context)
    const features: Features = { reuse: { ...range, mode: 'output', history: 1 } }
    const computed = new Set(deepCacheSchedule(context.solver.schedule.steps, options))
    return Array.from({ length: context.members }, () => member(features, computed))
  },
  preflight({ interval, branch }, { solver, stages }) {
    const { steps } = solver.schedule
    const chosen = branch > 0 && chainOf(stages) ? [`Branch ${branch} has no effect: this network has no skip connections.`] : []
    if (interval > 1 && steps > 1) return chosen
    return [...chosen, `Of ${steps} steps with interval ${interval} all are computed: nothing can be reused.`]
  },
}

function member(features: Features, computed: ReadonlySet<number>): MemberPolicy {
  const reuse: Decision = { kind: 'partial', weights: [1] }
  return {
    capacity: 0,
    features,
    before: (step) => (computed.has(step) ? run : reuse),
    observe: () => ({}),
    after: () => ({}),
    keeps: () => [],
  }
}

function deepRange(branch: number, { stages, reusable }: RunContext): StageRange {
  const names = chainOf(stages)
  if (names && names.length >= 2) return { from: names[0], to: names.at(-2)! }
  const range = reusable.at(-1 - branch)
  if (range) return range
  const missing =
    reusable.length > 0 ? `a branch ${branch}, where the innermost is ${reusable.length - 1}` : 'with ranges to reuse'
  throw unsupported('deepcache', missing, stages)
}

/** The steps of `steps` at which everything is computed, ascending. */
export function deepCacheSchedule(steps: number, options: Omit<DeepCacheOptions, 'branch'>): number[] {
  const { interval, uniform, center, power } = options
  const count = Math.ceil(steps / interval)
  if (uniform || interval === 1) return Array.from({ length: count }, (_, k) => k * interval)
  // With a large power several steps coincide; it is lowered until they do not.
  for (let p = power; p > 1; p -= 0.02) {
    const found = powerSchedule(steps, count, center, p)
    if (found.length === count) return found
  }
  const message = `No power between 1 and ${power} gives ${count} different steps of ${steps} around center ${center}.`
  throw new SadaError('INVALID_ARGUMENT', `${message} Choose a lower center or another interval.`, { argument: 'policy.center' })
}

/**
 * Points at equal distances between (−c)^{1/p} and (T − c)^{1/p} in the complex plane, with principal powers, raised to p again:
 * the real parts, cut to integers, are steps from the centre c. The ends count for nothing, step 0 is added.
 */
function powerSchedule(steps: number, count: number, center: number, p: number): number[] {
  const from = principalPower(-center, 0, 1 / p)
  const to = principalPower(steps - center, 0, 1 / p)
  const offsets = Array.from({ length: count + 1 }, (_, k) => {
    const [re, im] = [0, 1].map((part) => from[part] + ((to[part] - from[part]) * k) / count)
    return Math.trunc(principalPower(re, im, p)[0])
  })
  const distinct = [...new Set(offsets)].sort((a, b) => a - b)
  return [0, ...distinct.slice(1, -1).map((offset) => center + offset)]
}

/** (re + i·im)^p, principal value: the angle lies in (−π, π]. */
function principalPower(re: number, im: number, p: number): [re: number, im: number] {
  const size = Math.hypot(re, im) ** p
  const angle = Math.atan2(im, re) * p
  return [size * Math.cos(angle), size * Math.sin(angle)]
}
