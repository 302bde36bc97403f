import { invalidArgument, inWords } from '../errors.ts'
import { Clock } from './auto-clock.ts'
import type { PolicyDefinition } from './definition.ts'
import { checkOption, resolveOptions } from './options.ts'
import { run, type Decision, type RunContext, type Verdict } from './policy.ts'
import { runsAll } from './preflight.ts'
import { longTail, sada, SadaMember, type SadaOptions } from './sada.ts'

export interface AutoOptions {
  speedup: number
  ms: number
  psnrDb: number
}

/**
 * A target instead of thresholds. The error ledger of `sada` runs below it; before every step its tolerance is set anew, so that the
 * runs it is forecast to take are those that are left. Time is measured while the run goes on: a network run and a skip have the
 * median cost they had so far.
 */
export const auto: PolicyDefinition<AutoOptions> = {
  name: 'auto',
  about: 'Meets a target: as many times faster, within so many milliseconds, or as close to the full run in decibels.',
  source: 'this package; the ledger of `sada`, planned again at every step',
  options: {
    speedup: {
      about: 'wall time of the full run over that of this one, to be reached; 0: no such target',
      default: 0,
      off: 0,
      min: 1,
      max: 100,
    },
    ms: { about: 'time that the sampling loop may take; 0: no such target', default: 0, off: 0, min: 0, max: 1e9 },
    psnrDb: {
      about: 'PSNR against the full run, on samples in [−1, 1]; 0: no such target',
      default: 0,
      off: 0,
      min: 0,
      max: 200,
    },
  },
  begin(options, context) {
    const ledger = resolveOptions(sada.options, {}, context)
    const clock = new Clock()
    return Array.from({ length: context.members }, () => new AutoMember(options, { ...ledger, prune: false }, context, clock))
  },
  preflight({ speedup, psnrDb }, context) {
    const { solver } = context
    const { steps } = solver.schedule
    if (psnrDb > 0 && solver.isStochastic)
      return ['This scheduler adds fresh noise at every step; what a PSNR target goes by was fitted on schedulers that add none.']
    const runs = Math.max(FEWEST_OF_ALL, Math.ceil(steps / speedup - 0.5))
    if (speedup <= 1 || runs >= FEWEST_RUNS) return []
    if (steps <= FEWEST_OF_ALL) return [runsAll(context)]
    return [
      `Of ${steps} steps a speed-up of ${speedup} leaves ${runs} network runs, few to predict from: ${runs} plain steps are the better choice.`,
    ]
  },
  outcome({ ms: most }, ms, members) {
    const made = members.filter((member) => member instanceof AutoMember)
    return [
      ...(most > 0 && ms > most ? [`The run took ${Math.ceil(ms)} ms, more than the ${most} ms that were its target.`] : []),
      ...(most > 0 ? made.reduce((a, b) => (b.runs < a.runs ? b : a)).tooFewRuns() : []),
      ...made[0].missedSpeedup(ms),
      ...(made.some(({ isGuessed }) => isGuessed) ? [GUESSED] : []),
    ]
  },
}

/** Throws INVALID_ARGUMENT unless there is one target. Others that are off, as in the options of a recorded run, are none. */
export function checkTarget(given: Readonly<Record<string, unknown>>, within: string): void {
  const named = Object.keys(given)
  const asked = named.filter((name) => given[name] !== auto.options[name as keyof AutoOptions].off)
  if (asked.length === 1) return
  if (asked.length === 0 && named.length > 0) {
    const [name] = named
    checkOption(`${within}.${name}`, auto.options[name as keyof AutoOptions], given[name])
  }
  const received = inWords(asked.length === 0 ? 'none of them' : asked.join(' and '))
  throw invalidArgument('policy.target', 'exactly one of speedup, ms and psnrDb', received, HOW)
}

/** From a terminal, too, where there is no target to be named. */
const HOW = 'It is given as { name: "auto", target: { speedup: 2 } }, on a command line as auto:speedup=2.'

/** The first measurement is made at the third run; here nothing has borne it out. */
const GUESSED =
  'After 3 network runs the rest was predicted, by one measurement of the error of doing so: the PSNR may be far below its target.'

/** So many runs there are always: nothing can be predicted from fewer. */
const FEWEST_OF_ALL = 2

/**
 * Below so many network runs plain steps come as close or closer: on the bundled model 10 of 20 come as close with DPM++ and Euler
 * (bench/results/steps.json), 8 of 50 are 13 dB closer on full prompts and 5 of 50 are 15 dB (8 pictures, not recorded).
 */
const FEWEST_RUNS = 12

/**
 * ln(root mean square of what is still to come / mean |x0|) by 1, ln(rate / mean |x0|) and ln(steps left), of 50; to 2 dB in the median. Fitted by
 * `bench/calibrate-auto.ts` on the bundled model, 24 pictures for each scheduler.
 */
const REST = { flow: [-1.432, 0.4309, 0.3783], variancePreserving: [-2.924, 0.3368, 0.7692] } as const

/**
 * What comes of a run that is closed at a forecast of so many decibels: a + b × forecast, as what is predicted goes on along a slope, and a
 * picture that is hard to forecast is hard to predict. By the same script, moved by what 32 more pictures came out at in `bench/targets.ts`.
 */
export const CLOSED = { 'flow-euler': [-2.49, 1.194], 'dpm++': [-9.06, 1.361], euler: [-8.29, 1.347] } as const

/** Which of them stands for a solver: stochastic ones have none of their own. */
const FITTED_ON = {
  'flow-euler': 'flow-euler',
  'dpm++': 'dpm++',
  'dpm++-sde': 'dpm++',
  euler: 'euler',
  'euler-ancestral': 'euler',
} as const

/** Share of the last slope along which a run is continued to its end: further than between computed steps, so more carefully. */
const LONG_SLOPE = 0.4

class AutoMember extends SadaMember {
  private readonly target: AutoOptions
  /** As `sada` has it. */
  private readonly ledger: Readonly<SadaOptions>
  private readonly clock: Clock
  runs = 0
  /** With a PSNR target: the step from which on the rest is predicted. */
  private closed = false

  constructor(target: AutoOptions, ledger: SadaOptions, context: RunContext, clock: Clock) {
    super({ ...ledger }, context)
    this.target = target
    this.ledger = ledger
    this.clock = clock
  }

  /** It looks at the clock at every step. */
  override get onDevice(): undefined {
    return undefined
  }

  override before(step: number): Decision {
    this.clock.tick(step)
    return this.decide(step)
  }

  override after(step: number, done: Decision, means: readonly number[], magnitude: number): Verdict {
    if (done.kind !== 'skip') {
      this.runs++
      this.clock.runs()
    }
    return super.after(step, done, means, magnitude)
  }

  aside(ms: number): void {
    this.clock.audited(ms)
  }

  private decide(step: number): Decision {
    if (this.computed.length === 0) return run
    if (this.target.psnrDb > 0) return this.decideByError(step)
    const left = this.runsLeft(step)
    const steps = this.context.solver.schedule.steps - step
    if (left <= 0) return this.skip(step)
    if (left >= steps || this.computed.length < 2) return run
    // Of a small budget the beginning and the end get at most a third each.
    const third = Math.floor((this.runs + left) / 3)
    this.options.warmup = Math.min(this.ledger.warmup, third)
    this.options.tail = Math.min(this.ledger.tail, third)
    this.options.maxConsecutive = Math.max(this.ledger.maxConsecutive, Math.ceil(steps / left))
    this.options.tolerance = this.plannedTolerance(step, left)
    return super.before(step)
  }

  /** What there is to say where skips alone take too long for the speed-up that was asked for, or fewer runs than there must be would be left. */
  missedSpeedup(ms: number): string[] {
    const { speedup } = this.target
    const { steps } = this.context.solver.schedule
    const reached = (steps * (this.clock.costOfRun ?? 0)) / ms
    // Of two steps and fewer the preflight has said that all run.
    if (steps <= FEWEST_OF_ALL || this.runsFor(speedup) >= FEWEST_OF_ALL || !(reached < speedup)) return []
    const times = Number(reached.toPrecision(2))
    return [`The run was ${times} times as fast as one of every step, less than the ${speedup} times that were its target.`]
  }

  /** What there is to say where a time was enough for few network runs, which is known afterwards alone. */
  tooFewRuns(): string[] {
    const { runs } = this
    const { steps } = this.context.solver.schedule
    if (runs >= Math.min(FEWEST_RUNS, steps)) return []
    const better = runs === 1 ? 'a plain step is' : `${runs} plain steps are`
    return [`The time was enough for ${runs} of ${steps} network runs, few to predict from: ${better} the better choice.`]
  }

  /** Whether what is left was predicted on the strength of one measurement. */
  get isGuessed(): boolean {
    return this.closed && this.runs <= 3
  }

  /** Network runs that the target leaves from `step` on. */
  private runsLeft(step: number): number {
    const { steps } = this.context.solver.schedule
    const { speedup, ms } = this.target
    const { costOfRun = 0, costOfSkip } = this.clock
    if (ms > 0) {
      if (costOfRun === 0) return Infinity
      if (this.clock.isCold && this.clock.elapsed < ms) return 1
      return Math.floor((ms - this.clock.elapsed - (steps - step) * costOfSkip) / Math.max(costOfRun - costOfSkip, 1e-6))
    }
    return Math.max(FEWEST_OF_ALL, this.runsFor(speedup)) - this.runs
  }

  /** Network runs of the whole run that make it so many times faster; none and fewer where skips alone take too long. */
  private runsFor(speedup: number): number {
    const { steps } = this.context.solver.schedule
    const { costOfRun = 0, costOfSkip } = this.clock
    // steps·run / (runs·run + (steps − runs)·skip) = speedup
    const skipShare = costOfRun > 0 ? Math.min(costOfSkip / costOfRun, 0.9) : 0.01
    return Math.round((steps * (1 / speedup - skipShare)) / (1 - skipShare))
  }

  /** A skip after which no computed step is planned, and nothing mended. */
  private skip(step: number): Decision {
    return { kind: 'skip', action: this.computed.length < 2 ? 'reuse' : 'extrapolate', x0: this.prediction(step, LONG_SLOPE) }
  }

  /**
   * Runs beyond those that `sada` takes are shared: some make errors smaller now, some are left for the end, of which no later step mends
   * anything. The end gets no more of them than a long tail.
   */
  private plannedTolerance(step: number, runs: number): number {
    const { tail } = this.options
    const smallest = this.toleranceFor(step, runs, tail)
    if (smallest >= this.ledger.tolerance) return smallest
    const withLongTail = this.toleranceFor(step, runs, Math.max(tail, longTail(this.context.solver)))
    const shared = Math.sqrt(smallest * this.ledger.tolerance)
    return Math.max(smallest, Math.min(shared, withLongTail))
  }

  /**
   * The smallest tolerance, between a hundred-thousandth and 10, that is forecast to take at most `runs` runs from `step` on, where the last
   * `tail` steps run.
   */
  private toleranceFor(step: number, runs: number, tail: number): number {
    let [low, high] = [Math.log(1e-5), Math.log(10)]
    for (let k = 0; k < 24; k++) {
      const middle = (low + high) / 2
      if (this.forecastRuns(step, Math.exp(middle), tail) <= runs) high = middle
      else low = middle
    }
    return Math.exp(high)
  }

  /** The ledger played on to the end, with errors that go on as they usually do. */
  private forecastRuns(from: number, tolerance: number, tail: number): number {
    const { maxConsecutive } = this.options
    const { steps } = this.context.solver.schedule
    let [newest] = this.computed
    let { spent } = this
    let runs = 0
    for (let step = from; step < steps; step++) {
      const gap = step - newest
      const cost = step < steps - tail ? spent + this.cost(step, gap) : Infinity
      if (gap <= maxConsecutive && cost <= tolerance * this.magnitude) spent = cost
      else [newest, spent, runs] = [step, 0, runs + 1]
    }
    return runs
  }

  /** Runs as `sada` does until what is still to come is forecast to change the sample by no more than the target allows. */
  private decideByError(step: number): Decision {
    this.closed ||= this.computed.length >= 2 && Number.isFinite(this.errorRate) && this.remaining() <= this.allowed()
    return this.closed ? this.skip(step) : super.before(step)
  }

  /** Root mean square error whose forecast the target stands for. */
  private allowed(): number {
    const [offset, slope] = CLOSED[FITTED_ON[this.context.solver.schedule.solver]]
    return 2 * 10 ** (-(this.target.psnrDb - offset) / slope / 20)
  }

  /** Forecast of the root mean square change of x0 from the newest computed step to the end. */
  private remaining(): number {
    const { steps, solver } = this.context.solver.schedule
    // The laws were fitted on 50 steps: so many of ours are one of those.
    const scale = 50 / steps
    const [offset, byRate, byLeft] = solver === 'flow-euler' ? REST.flow : REST.variancePreserving
    const rate = (this.errorRate * this.usual[this.computed[0]]) / this.magnitude / scale
    return this.magnitude * Math.exp(offset + byRate * Math.log(rate) + byLeft * Math.log((steps - this.computed[0]) * scale))
  }
}
