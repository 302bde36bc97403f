import { lagrangeWeights } from '../solver/lagrange.ts'
import { minus, plus, substitute, times, type Row } from '../solver/row.ts'
import type { PolicyDefinition } from './definition.ts'
import { runsAll, switchedOff } from './preflight.ts'
import { run, type Decision, type MemberPolicy, type Observation, type RunContext, type Verdict } from './policy.ts'

export interface ReferenceOptions {
  warmup: number
  end: number
  lagrangeStep: number
  lagrangeInterval: number
  lagrangeNodes: number
  maxConsecutive: number
}

const isFlow = ({ solver }: RunContext): boolean => solver.schedule.solver === 'flow-euler'

/**
 * The authors' published code, decision by decision and state by state, for comparison. It differs from the poster in its
 * velocity, its extrapolation weights, and in feeding skipped steps to the criterion; one decision for the whole batch.
 */
export const reference: PolicyDefinition<ReferenceOptions> = {
  name: 'sada-reference',
  about: "The authors' published code: one decision for the whole batch, for comparison.",
  source: 'sada-icml, commit bbbadce',
  options: {
    warmup: { about: 'before this step the criterion decides no skip', default: 10, min: 0, max: 1000, integer: true },
    end: {
      about: 'from this step on the timetable decides no skip; without one, nor does the criterion',
      default: ({ solver }) => Math.max(0, solver.schedule.steps - 3),
      defaultText: 'steps − 3',
      min: 0,
      max: 1000,
      integer: true,
    },
    lagrangeStep: {
      about: 'from here on the Lagrange timetable decides instead of the criterion',
      default: (context) => (isFlow(context) ? 20 : 24),
      defaultText: '24 (flow: 20)',
      min: 0,
      max: 1000,
      integer: true,
    },
    lagrangeInterval: { about: 'the timetable runs every n-th step', default: 4, min: 2, max: 1000, integer: true },
    lagrangeNodes: {
      about: 'nodes of the interpolation; 0: no Lagrange part',
      default: (context) => (isFlow(context) ? 3 : 4),
      defaultText: '4 (flow: 3)',
      min: 0,
      max: 6,
      integer: true,
      fewest: 2,
    },
    maxConsecutive: { about: 'skips in a row', default: 4, min: 0, max: 1000, integer: true },
  },
  freshNoise: 'refused',
  begin(options, context) {
    const batch = new Batch(options, context)
    return Array.from({ length: context.members }, () => (isFlow(context) ? new FlowMember(batch) : new DiffusionMember(batch)))
  },
  preflight(options, context) {
    const off = switchedOff('maxConsecutive', options.maxConsecutive)
    return off.length > 0 || new Batch(options, context).maySkip() ? off : [runsAll(context)]
  },
}

type Kind = 'run' | 'extrapolate' | 'interpolate'

/** The decision that all members share. */
class Batch {
  readonly options: ReferenceOptions
  readonly context: RunContext
  private next: Kind = 'run'
  private decidedAt = -1
  private consecutive = 0
  private criterion = 0
  private reported = 0

  constructor(options: ReferenceOptions, context: RunContext) {
    this.options = options
    this.context = context
  }

  /** What the step is, decided from the step before by the first member that asks. */
  kind(step: number): Kind {
    if (step > 0 && this.decidedAt < step) this.decide(step - 1)
    this.decidedAt = step
    return this.next
  }

  /** Whether the decision taken at `step` ignores the criterion, which then need not be formed. */
  followsTimetable(step: number): boolean {
    return this.options.lagrangeNodes > 0 && step >= this.options.lagrangeStep
  }

  report(criterion: number): void {
    this.criterion += criterion
    this.reported++
  }

  /** Whether there is a skip where every verdict is stable. Uses the decisions up. */
  maySkip(): boolean {
    for (let step = 0; step < this.context.solver.schedule.steps; step++) {
      if (this.kind(step) !== 'run') return true
      this.report(-1)
    }
    return false
  }

  private decide(step: number): void {
    const mean = this.reported > 0 ? this.criterion / this.reported : NaN
    this.criterion = this.reported = 0
    this.next = this.choose(step, mean)
    this.consecutive = this.next === 'run' ? 0 : this.consecutive + 1
  }

  private choose(step: number, mean: number): Kind {
    const { warmup, end, lagrangeStep, lagrangeInterval, lagrangeNodes, maxConsecutive } = this.options
    const switching = lagrangeNodes > 0 ? lagrangeStep : end
    if (step < 2 || this.consecutive >= maxConsecutive) return 'run'
    // The last step of a run always has something to be computed from; the authors' code runs off its end here.
    if (step + 1 >= this.context.solver.schedule.steps - 1) return 'run'
    if (step >= Math.max(warmup, 3) && step < switching && mean <= 0) return 'extrapolate'
    if (lagrangeNodes > 0 && step >= lagrangeStep && step < end && step % lagrangeInterval !== 0) return 'interpolate'
    return 'run'
  }
}

/** DPM-Solver++ and Euler. */
class DiffusionMember implements MemberPolicy {
  readonly capacity: number
  private readonly batch: Batch
  private gradients: readonly number[] = [] // steps whose f is kept, newest first
  private nodes: readonly number[] = []

  constructor(batch: Batch) {
    this.batch = batch
    this.capacity = batch.options.lagrangeNodes + 8
  }

  before(step: number): Decision {
    const kind = this.batch.kind(step)
    if (kind === 'run') return run
    return { kind: 'skip', action: kind, x0: kind === 'extrapolate' ? this.extrapolated(step) : this.interpolated(step) }
  }

  observe(step: number, done: Decision): Observation {
    const node = this.isNode(step) ? { [`node[${step}]`]: { x0: 1 } } : {}
    if (this.batch.followsTimetable(step)) return { store: node }
    const f = this.gradient(step, done)
    const prediction = this.prediction(step, f)
    return {
      store: {
        [`f[${step}]`]: f,
        ...(done.kind !== 'skip' && { output: { output: 1 } }),
        ...node,
        ...(prediction && { prediction: prediction.next }),
      },
      means: prediction ? [{ a: minus({ next: 1 }, prediction.next), b: prediction.curvature }] : [],
    }
  }

  after(step: number, _: Decision, means: readonly number[]): Verdict {
    this.gradients = this.batch.followsTimetable(step) ? [] : [step, ...this.gradients].slice(0, 2)
    if (this.isNode(step)) this.nodes = [step, ...this.nodes].slice(0, this.batch.options.lagrangeNodes)
    if (means.length === 0) return {}
    this.batch.report(means[0])
    return { criterion: means[0] }
  }

  keeps(): string[] {
    return ['output', 'prediction', ...this.gradients.map((i) => `f[${i}]`), ...this.nodes.map((i) => `node[${i}]`)]
  }

  private isNode(step: number): boolean {
    const { lagrangeNodes, lagrangeInterval } = this.batch.options
    return lagrangeNodes > 0 && step % lagrangeInterval === 1
  }

  /** The authors' velocity, in variance-preserving scale, with T·β_n where the true one has (training steps)·β_n. */
  private gradient(step: number, done: Decision): Row {
    const { schedule } = this.batch.context.solver
    const output = { output: 1 } // on a skipped step the stored, stale one
    const { beta, alpha, sigma, stateScale } = this.frame(step)
    const half = (beta * schedule.steps) / 2
    if (schedule.prediction === 'v_prediction') return times((half / sigma) * alpha, output)
    const noise = schedule.prediction === 'epsilon' ? output : this.noiseFromSample(step, done)
    return plus({ x: -half * stateScale }, times(half / sigma, noise))
  }

  /** Networks that predict the clean sample did not exist for the authors; their noise follows from x and x0. */
  private noiseFromSample(step: number, done: Decision): Row {
    const { alpha, sigma } = this.batch.context.solver.schedule.levels[step]
    const { stateScale } = this.frame(step)
    return plus({ x: stateScale / sigma }, times(-alpha / sigma, done.kind === 'skip' ? { output: 1 } : { x0: 1 }))
  }

  private frame(step: number): { beta: number; alpha: number; sigma: number; stateScale: number } {
    const { schedule } = this.batch.context.solver
    const trained = Math.trunc(schedule.timesteps[step])
    const beta = schedule.trainingBetas[trained]
    if (schedule.solver === 'euler') {
      const { alpha, sigma } = schedule.levels[step]
      return { beta, alpha, sigma, stateScale: alpha }
    }
    const { sigma } = schedule.levels[step]
    return { beta, alpha: Math.sqrt(schedule.alphasCumprod[trained]), sigma, stateScale: 1 }
  }

  /** x̂_{i+1} in the solver's scale and Δ²f, once three velocities are known. */
  private prediction(step: number, f: Row): { next: Row; curvature: Row } | undefined {
    if (this.gradients.length < 2) return undefined
    const { schedule } = this.batch.context.solver
    const [f1, f2] = this.gradients.map((i) => ({ [`f[${i}]`]: 1 }))
    const moved = plus(times(0.625, f), times(0.75, f1), times(-0.375, f2))
    const { stateScale } = this.frame(step)
    const nextScale = schedule.solver === 'euler' ? schedule.levels[step + 1].alpha : 1
    const next = times(1 / nextScale, plus({ x: stateScale }, times(-1 / schedule.steps, moved)))
    return { next, curvature: plus(f, times(-2, f1), f2) }
  }

  private extrapolated(step: number): Row {
    const { solver } = this.batch.context
    const fromState = solver.schedule.solver === 'euler' && solver.schedule.prediction === 'v_prediction'
    return substitute(solver.denoised(step), { x: { [fromState ? 'x' : 'prediction']: 1 } })
  }

  private interpolated(step: number): Row {
    const { schedule } = this.batch.context.solver
    // Euler interpolates x0/α.
    const scale = (i: number): number => (schedule.solver === 'euler' ? schedule.levels[i].alpha : 1)
    const weights = lagrangeWeights(this.nodes, step)
    return Object.fromEntries(this.nodes.map((node, k) => [`node[${node}]`, (weights[k] * scale(step)) / scale(node)]))
  }
}

/** Flow matching: the history holds network outputs, and a skipped step pushes a copy of the newest. */
class FlowMember implements MemberPolicy {
  readonly capacity = 5
  private readonly batch: Batch
  private history: readonly string[] = [] // names of outputs, newest first, copies included

  constructor(batch: Batch) {
    this.batch = batch
  }

  before(step: number): Decision {
    const kind = this.batch.kind(step)
    if (kind === 'run') return run
    const { sigma } = this.batch.context.solver.schedule.levels[step]
    return { kind: 'skip', action: kind, x0: plus({ x: 1 }, times(-sigma, this.continued())) }
  }

  observe(step: number, done: Decision): Observation {
    const store = done.kind === 'skip' ? {} : { [`output[${step}]`]: this.velocity(done) }
    if (this.history.length < 2) return { store }
    const [p1, p2] = this.history
    const curvature = plus(this.velocity(done), { [p1]: -2 }, { [p2]: 1 })
    return { store, means: [{ a: times(-1, curvature), signed: true }] }
  }

  after(step: number, done: Decision, means: readonly number[]): Verdict {
    const newest = done.kind === 'skip' ? this.history[0] : `output[${step}]`
    this.history = [newest, ...this.history].slice(0, 2)
    if (means.length === 0) return {}
    this.batch.report(means[0])
    return { criterion: means[0] }
  }

  keeps(): string[] {
    return [...this.history]
  }

  private velocity(done: Decision): Row {
    return done.kind === 'skip' ? this.continued() : { y: 1 }
  }

  private continued(): Row {
    const [p1, p2] = this.history
    return plus({ [p1]: 2 }, { [p2]: -1 })
  }
}
