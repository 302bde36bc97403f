import { noiseShare } from '../schedule/noise-level.ts'
import { boundedLagrange } from '../solver/lagrange.ts'
import { denoisedFrom, extrapolatedState, namesOf, stabilityCriterion } from './criterion.ts'
import type { PolicyDefinition } from './definition.ts'
import { remember, x0At } from './history.ts'
import { run, type Decision, type MemberPolicy, type Observation, type RunContext, type Verdict } from './policy.ts'
import { drySchedule, leavesNothing, switchedOff } from './preflight.ts'
import { pruningOptions, Pruning, type PruningOptions } from './pruning.ts'

export interface PosterOptions extends PruningOptions {
  warmup: number
  tail: number
  maxConsecutive: number
  lagrangeStep: number
  lagrangeInterval: number
  lagrangeNodes: number
  maxAmplification: number
}

const scaled =
  (of50: number, atLeast: number) =>
  ({ solver }: RunContext): number =>
    Math.max(atLeast, Math.round((of50 / 50) * solver.schedule.steps))

const isFlow = ({ solver }: RunContext): boolean => solver.schedule.solver === 'flow-euler'

/** SADA as its poster states it, with the published settings scaled to the number of steps. */
export const poster: PolicyDefinition<PosterOptions> = {
  name: 'sada/poster',
  about: 'The poster: extrapolation where stable, Lagrange in the second half, token pruning where unstable.',
  source: 'SADA poster, approximations (a), (b), (c)',
  options: {
    warmup: {
      about: 'first steps that always run',
      default: scaled(10, 3),
      defaultText: '10 of 50',
      min: 3,
      max: 1000,
      integer: true,
    },
    tail: {
      about: 'last steps that always run',
      default: scaled(3, 1),
      defaultText: '3 of 50',
      min: 0,
      max: 1000,
      integer: true,
    },
    maxConsecutive: { about: 'skips in a row that one verdict licenses', default: 4, min: 0, max: 1000, integer: true },
    lagrangeStep: {
      about: 'where the second half begins',
      default: (context) => scaled(isFlow(context) ? 20 : 24, 0)(context),
      defaultText: '24 of 50 (flow: 20)',
      min: 0,
      max: 1000,
      integer: true,
    },
    lagrangeInterval: {
      about: 'in the second half every n-th step runs; nodes are at least as far apart',
      default: 4,
      min: 2,
      max: 1000,
      integer: true,
    },
    lagrangeNodes: {
      about: 'nodes of the interpolation; 0: no second half',
      default: (context) => (isFlow(context) ? 3 : 4),
      defaultText: '4 (flow: 3)',
      min: 0,
      max: 6,
      integer: true,
      fewest: 2,
    },
    maxAmplification: { about: 'the order drops until Σ|weights| is at most this', default: 10, min: 1, max: 1000 },
    ...pruningOptions,
  },
  freshNoise: 'refused',
  begin: (options, context) => Array.from({ length: context.members }, () => new PosterMember(options, context)),
  preflight(options, context) {
    const { warmup, tail, maxConsecutive } = options
    const nothing = [...switchedOff('maxConsecutive', maxConsecutive), ...leavesNothing(context, warmup, tail)]
    // With one node there is nothing to interpolate: the second half runs whole, and it may begin with the warm-up's end.
    return nothing.length > 0 ? nothing : drySchedule(new PosterMember(options, context), context, [-1])
  },
}

class PosterMember implements MemberPolicy {
  readonly capacity: number
  private readonly options: PosterOptions
  private readonly context: RunContext
  private readonly pruning: Pruning
  private computed: readonly number[] = [] // newest first, three at most
  private nodes: readonly number[] = [] // fully computed steps at least an interval apart, newest first
  private stable = false
  private consecutive = 0

  constructor(options: PosterOptions, context: RunContext) {
    this.options = options
    this.context = context
    this.pruning = new Pruning(options, context)
    this.capacity = 2 * 4 + options.lagrangeNodes + 1
  }

  before(step: number): Decision {
    const { warmup, tail, maxConsecutive, lagrangeNodes, lagrangeStep } = this.options
    const { steps } = this.context.solver.schedule
    if (step < warmup || step >= steps - tail || this.computed.length < 3) return run
    if (this.consecutive >= maxConsecutive) return run
    if (lagrangeNodes > 0 && step >= lagrangeStep) return this.interpolate(step)
    return this.stable ? this.extrapolate(step) : this.pruning.decide(step, this.isNode(step))
  }

  observe(step: number, done: Decision): Observation {
    if (done.kind === 'skip') return {}
    if (this.computed.length < 2) return { store: remember(step) }
    const [c1, c2] = this.computed
    return { store: remember(step), means: [stabilityCriterion(this.context.solver, step, [c1, c2])], tokenScores: 0 }
  }

  after(step: number, done: Decision, means: readonly number[]): Verdict {
    this.pruning.after(step, done, means.length > 0)
    if (done.kind === 'skip') {
      this.consecutive++
      return {}
    }
    this.consecutive = 0
    this.computed = [step, ...this.computed].slice(0, 3)
    if (done.kind === 'run' && this.isNode(step)) this.nodes = [step, ...this.nodes].slice(0, this.options.lagrangeNodes)
    if (means.length === 0) return {}
    this.stable = means[0] < 0
    return { criterion: means[0] }
  }

  keeps(): string[] {
    return [...this.computed.flatMap(namesOf), ...this.nodes.map(x0At)]
  }

  private isNode(step: number): boolean {
    const { lagrangeNodes, lagrangeInterval } = this.options
    return lagrangeNodes > 0 && (this.nodes.length === 0 || step - this.nodes[0] >= lagrangeInterval)
  }

  private extrapolate(step: number): Decision {
    const { solver } = this.context
    const [c, c1, c2] = this.computed
    const state = extrapolatedState(solver, step, [c, c1, c2])
    return { kind: 'skip', action: 'extrapolate', x0: denoisedFrom(solver, step, state, c) }
  }

  private interpolate(step: number): Decision {
    const { lagrangeInterval, lagrangeNodes, maxAmplification } = this.options
    if (step % lagrangeInterval === 0) return run
    const newest = this.computed[0]
    const nodes = [newest, ...this.nodes.filter((node) => newest - node >= lagrangeInterval)].slice(0, lagrangeNodes)
    const level = (i: number): number => noiseShare(this.context.solver.schedule.levels[i])
    const weights = boundedLagrange(nodes.map(level), level(step), maxAmplification)
    if (weights.length < 2) return run
    return { kind: 'skip', action: 'interpolate', x0: Object.fromEntries(weights.map((w, k) => [x0At(nodes[k]), w])) }
  }
}
