import { SadaError } from '../errors.ts'
import type { PolicyDefinition } from './definition.ts'
import { run, type Decision, type Features, type MemberPolicy, type RunContext } from './policy.ts'
import { blocks, unsupported, type StageRange } from './stages.ts'

export interface DeepCacheOptions {
  interval: number
  uniform: boolean
  center: number
  power: number
}

/**
 * DeepCache (Ma et al. 2023): the deep part of the network is computed at some steps only, at the others what it gave last is used again.
 * The deep part is every token stage but the last (the first as well: nothing of it is needed where what follows is reused); in a
 * network whose token stages do not follow each other, every stage but the first and the last, which the skip connections join.
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
    const range = deepRange(context)
    const features: Features = { reuse: { ...range, mode: 'output', history: 1 } }
    const computed = new Set(deepCacheSchedule(context.solver.schedule.steps, options))
    return Array.from({ length: context.members }, () => member(features, computed))
  },
  preflight({ interval }, { solver }) {
    const { steps } = solver.schedule
    if (interval > 1 && steps > 1) return []
    return [`Of ${steps} steps with interval ${interval} all are computed: nothing can be reused.`]
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

function deepRange(context: RunContext): StageRange {
  const { stages } = context
  const kinds = stages.map(({ kind }) => kind[0]).join('')
  if (/^d*t{2,}d*$/.test(kinds)) {
    const names = blocks('deepcache', context, 2)
    return { from: names[0], to: names.at(-2)! }
  }
  if (stages.length < 3) throw unsupported('deepcache', 'at least one between the first and the last', stages)
  return { from: stages[1].name, to: stages.at(-2)!.name }
}

/** The steps of `steps` at which everything is computed, ascending. */
export function deepCacheSchedule(steps: number, { interval, uniform, center, power }: DeepCacheOptions): number[] {
  const count = Math.ceil(steps / interval)
  if (uniform || interval === 1) return Array.from({ length: count }, (_, k) => k * interval)
  if (count === 1) return [0]
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
