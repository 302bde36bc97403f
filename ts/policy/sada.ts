import { mixedShare, noiseShare } from '../schedule/noise-level.ts'
import { fittedLineWeights } from '../solver/fitted-line.ts'
import { minus, plus, substitute, times, type Row } from '../solver/row.ts'
import type { Solver } from '../solver/solver.ts'
import { stabilityCriterion } from './criterion.ts'
import type { PolicyDefinition } from './definition.ts'
import { remember, velocityAt, x0At } from './history.ts'
import {
  run,
  type Correction,
  type Decision,
  type MemberPolicy,
  type Observation,
  type RunContext,
  type Verdict,
} from './policy.ts'
import { leavesNothing, switchedOff } from './preflight.ts'
import { Pruning, pruningOptions, type PruningOptions } from './pruning.ts'
import { Response } from './response.ts'
import { usualError } from './usual-error.ts'

export interface SadaOptions extends PruningOptions {
  tolerance: number
  unstable: number
  warmup: number
  tail: number
  maxConsecutive: number
  slope: number
  memory: number
  damping: number
}

/**
 * Guidance multiplies what the conditions differ by, and with it the network's answer to an error of the state: above this scale skips late in
 * a run leave what no later step mends. There more of the end is computed.
 */
const STRONG = 3
const TAIL = 3

/** Last steps where the end matters much, or runs are to spare for it: 16 % of them. */
export const longTail = ({ schedule }: Solver): number => Math.max(TAIL, Math.round(0.16 * schedule.steps))

/**
 * Clean samples that a skip goes on from. Where steps add noise, each of them has in it what the network made of its own step's: a line through
 * two follows that noise, one fitted to four follows the run.
 */
const NODES = { deterministic: 2, stochastic: 4 } as const

/**
 * Where strong guidance has clean samples swing if steps are skipped. With flow matching it does not, with stochastic schedulers x0 turns with the
 * noise of each step.
 */
const swings = ({ guidance, solver }: RunContext): boolean =>
  guidance > STRONG && (solver.schedule.solver === 'dpm++' || solver.schedule.solver === 'euler')

const tailOf = ({ guidance, solver }: RunContext): number => (guidance > STRONG ? longTail(solver) : TAIL)

/**
 * The default. Every computed step shows what a skip there would have got wrong, for free; a ledger of that error per step
 * says how far the next skips may go, and the stability criterion how strictly it is read. A skip continues the clean sample along its
 * slope; the next computed step replaces that guess by the line between the two computed ends and moves the state accordingly.
 */
export const sada: PolicyDefinition<SadaOptions> = {
  name: 'sada',
  about:
    'The default: an error ledger licenses skips, the stability criterion tightens it, computed steps mend the skips before them.',
  source: 'this package; criterion and token pruning after SADA',
  options: {
    tolerance: {
      about:
        'error that the skips between two computed steps may put into the state, as a share of what is in it of the clean sample',
      default: 0.013,
      min: 0,
      max: 10,
    },
    unstable: {
      about: 'weight of errors directly after a step that the stability criterion calls unstable; 1: no matter',
      default: 2,
      min: 1,
      max: 1000,
    },
    warmup: { about: 'first steps that always run', default: 4, min: 3, max: 1000, integer: true },
    tail: {
      about: 'last steps that always run',
      default: tailOf,
      defaultText: '3 (guidance > 3: 16 %)',
      min: 1,
      max: 1000,
      integer: true,
    },
    maxConsecutive: { about: 'skips in a row', default: 4, min: 0, max: 1000, integer: true },
    slope: {
      about: 'share of the last slope by which a skip continues the clean sample',
      default: ({ solver }) => (solver.isStochastic ? 0.4 : 0.7),
      defaultText: '0.7 (stochastic schedulers: 0.4)',
      min: 0,
      max: 1,
    },
    memory: { about: 'weight of older measurements in the error rate', default: 0.7, min: 0, max: 0.99 },
    damping: {
      about: 'rate at which it learns by how much the network overreacts to errors of the state, to allow for it; 0: not at all',
      default: (context) => (swings(context) ? 2 : 0),
      defaultText: '0 (guidance > 3, DPM++ and Euler: 2)',
      min: 0,
      max: 10,
    },
    ...pruningOptions,
  },
  begin(options, context) {
    // A line through four clean samples has no last slope to be seen turning.
    const held = context.solver.isStochastic ? { ...options, damping: 0 } : options
    return Array.from({ length: context.members }, () => new SadaMember(held, context))
  },
  preflight: ({ warmup, tail, maxConsecutive, tolerance, damping }, context) => [
    ...switchedOff('maxConsecutive', maxConsecutive),
    ...switchedOff('tolerance', tolerance),
    ...(damping > 0 && context.solver.isStochastic ? ['With a scheduler that adds fresh noise "damping" does nothing.'] : []),
    ...leavesNothing(context, warmup, tail),
  ],
}

/** One member under the error ledger. */
export class SadaMember implements MemberPolicy {
  readonly capacity = 6
  protected readonly options: SadaOptions
  protected readonly context: RunContext
  private readonly pruning: Pruning
  /** `usualError` at each step. */
  protected readonly usual: readonly number[]
  private readonly nodes: number
  /** Computed steps, newest first, `nodes` at most. */
  protected computed: readonly number[] = []
  /** Error of a prediction per step of its gap, averaged over the computed steps, in units of the usual one at each. */
  protected errorRate = Infinity
  protected spent = 0
  /** What stood for x0 at the steps skipped since the newest computed one, in their order. */
  private skipped: readonly Row[] = []
  private stable = false
  /** Mean |x0| of the newest computed step: what the tolerance is relative to. */
  protected magnitude = 0
  private readonly response: Response

  constructor(options: SadaOptions, context: RunContext) {
    this.options = options
    this.context = context
    this.pruning = new Pruning(options, context)
    this.response = new Response(options.damping)
    this.nodes = context.solver.isStochastic ? NODES.stochastic : NODES.deterministic
    this.usual = context.solver.schedule.levels.map((level) => usualError(noiseShare(level)))
  }

  /** What decisions on the device (native/math/sada_policy.h) go by; undefined where this member may prune, which they do not. */
  get onDevice(): SadaOptions | undefined {
    return this.pruning.enabled ? undefined : this.options
  }

  before(step: number): Decision {
    const { warmup, tail, maxConsecutive, tolerance } = this.options
    const { steps } = this.context.solver.schedule
    if (this.computed.length < 2 || step < warmup || step >= steps - tail) return run
    const gap = step - this.computed[0]
    const allowed = tolerance * this.magnitude
    const spent = this.spent + this.cost(step, gap)
    if (gap > maxConsecutive || !(spent <= allowed)) return this.compute(step, gap, allowed)
    this.spent = spent
    return { kind: 'skip', action: 'extrapolate', x0: this.prediction(step) }
  }

  observe(step: number, done: Decision): Observation {
    if (done.kind === 'skip') return {}
    const { isStochastic } = this.context.solver
    const store = isStochastic ? { [x0At(step)]: { x0: 1 } } : remember(step)
    if (this.computed.length < 2) return { store }
    const missed = minus({ estimate: 1 }, this.prediction(step))
    const [c1, c2] = this.computed
    const last = minus({ [x0At(c1)]: 1 }, { [x0At(c2)]: 1 })
    const turn = [missed, last].map((a) => ({ a, b: last }))
    const means = [{ a: missed, b: missed }, stabilityCriterion(this.context.solver, step, [c1, c2])]
    return { store, means: this.options.damping === 0 ? means : [...means, ...turn], tokenScores: 1 }
  }

  after(step: number, done: Decision, means: readonly number[], magnitude: number): Verdict {
    this.pruning.after(step, done, means.length > 0)
    if (done.kind === 'skip') {
      this.skipped = [...this.skipped, done.x0]
      // Of a skip before anything could be measured (`auto` with few steps) there is no forecast.
      const error = this.errorRate * this.usual[step] * (step - this.computed[0])
      return Number.isFinite(error) ? { error } : {}
    }
    const verdict = means.length > 0 ? this.learn(step, done, means) : {}
    this.computed = [step, ...this.computed].slice(0, this.nodes)
    this.spent = 0
    this.skipped = []
    this.magnitude = magnitude
    return verdict
  }

  /**
   * The skipped steps made again with the clean sample on the line between the computed steps around them. The solver is linear, so the
   * difference this makes to the state is a row over three clean samples.
   */
  correction(step: number): Correction | undefined {
    const [from] = this.computed
    if (this.computed.length < 2 || step - from < 2) return undefined
    const { solver } = this.context
    const [start, width] = [this.level(from), this.level(step) - this.level(from)]
    let x: Row = {}
    let x0Prev: Row = {}
    for (let skipped = from + 1; skipped < step; skipped++) {
      // Where the grid repeats one level all along, the newer of the two is the better guess.
      const share = width === 0 ? 1 : (this.level(skipped) - start) / width
      const between = plus({ x0: share }, { [x0At(from)]: 1 - share })
      const x0 = minus(between, this.skipped[skipped - from - 1])
      x = substitute(solver.update(skipped), { x, x0, x0Prev })
      x0Prev = x0
    }
    return this.response.isKnown ? { x, x0Prev, x0: this.answer(step, x) } : { x, x0Prev }
  }

  /** What the network would say at the corrected state: it was asked at the one before. The state moves by `moved` times its surprise. */
  private answer(step: number, { x0: moved = 0 }: Row): Row {
    const share = this.response.share(moved / this.context.solver.signal(step))
    return plus({ estimate: share }, times(1 - share, this.prediction(step)))
  }

  keeps(): string[] {
    const { isStochastic } = this.context.solver
    return this.computed.flatMap((step) => (isStochastic ? [x0At(step)] : [x0At(step), velocityAt(step)]))
  }

  /**
   * Where instability alone is why a step is computed, its unstable tokens are enough. Not right after the warm-up: the picture is still
   * open there, and what the other tokens repeat would decide it.
   */
  private compute(step: number, gap: number, allowed: number): Decision {
    const isUnstable = gap === 1 && !this.stable
    const { warmup, unstable } = this.options
    const mayPrune = isUnstable && step >= 2 * warmup && this.cost(step, gap) / unstable <= allowed
    return mayPrune ? this.pruning.decide(step, false) : run
  }

  protected level(step: number): number {
    return noiseShare(this.context.solver.schedule.levels[step])
  }

  /** The clean sample at `step`, continued from the newest computed ones along a share of their slope. */
  protected prediction(step: number, slope = this.options.slope): Row {
    if (this.context.solver.isStochastic) {
      const levels = this.computed.map((each) => this.level(each))
      const weights = fittedLineWeights(levels, this.level(step), slope)
      return Object.fromEntries(this.computed.map((each, k) => [x0At(each), weights[k]]))
    }
    const [newest, older] = this.computed
    if (older === undefined) return { [x0At(newest)]: 1 }
    const span = this.level(newest) - this.level(older)
    // Some grids repeat a level; there is no slope between two estimates at the same one.
    const reach = span === 0 ? 0 : (slope * (this.level(step) - this.level(newest))) / span
    return plus({ [x0At(newest)]: 1 }, times(reach, minus({ [x0At(newest)]: 1 }, { [x0At(older)]: 1 })))
  }

  /**
   * What skipping `step` is expected to put wrong: its expected error times how much of x0 the step mixes into the state, as a share of
   * how much of x0 is in the state then. So errors count most at high noise levels, where a prompt leaves choices that are still open.
   */
  protected cost(step: number, gap: number): number {
    const [level, next] = [this.level(step), this.level(step + 1)]
    const mixed = mixedShare(level, next) / (1 - next)
    const isUnstable = gap === 1 && !this.stable
    return mixed * this.errorRate * this.usual[step] * gap * (isUnstable ? this.options.unstable : 1)
  }

  private learn(step: number, done: Decision, [square, criterion, along, length]: readonly number[]): Verdict {
    const error = Math.sqrt(square)
    // A pruned pass has errors of its own: it says nothing of the prediction's, and its verdict has been acted on by pruning.
    this.stable = criterion < 0 || done.kind === 'prune'
    if (done.kind === 'prune') return { criterion }
    const rate = error / (step - this.computed[0]) / this.usual[step]
    const { memory } = this.options
    this.errorRate = Number.isFinite(this.errorRate) ? memory * this.errorRate + (1 - memory) * rate : rate
    if (Number.isFinite(along / length)) this.learnResponse(step, along / length)
    return { criterion, error }
  }

  /**
   * `offset`: how far off the prediction was along the last difference of clean samples, in units of that difference. Not after a step that ran:
   * steps in a row differ by more jitter than slope.
   */
  private learnResponse(step: number, offset: number): void {
    const [newest, older] = this.computed
    const [past, gap] = [this.level(older) - this.level(newest), this.level(newest) - this.level(step)]
    if (step - newest > 1 && past !== 0 && gap !== 0) this.response.learn((offset * past) / gap + this.options.slope)
  }
}
