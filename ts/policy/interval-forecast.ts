import type { Row } from '../solver/row.ts'
import { networkOutput, type ReusedOutput } from './network-output.ts'
import { run, type Decision, type MemberPolicy, type Observation, type RunContext, type Verdict } from './policy.ts'
import { leavesNothing, switchedOff } from './preflight.ts'

export interface IntervalOptions {
  readonly interval: number
  readonly order: number
  readonly warmup: number
  readonly tail: number
}

/**
 * The network's output at `step` over outputs at computed steps. `computed`: newest first, at least one, as many as the order
 * asks for where there are so many.
 */
export type Forecast = (computed: readonly number[], step: number) => Row

/** Name of the stored output of a computed step. */
export const outputAt = (step: number): string => `output[${step}]`

/** The schedule that TaylorSeer, ResilPhase and their like share: the first `warmup` steps, and every `interval`-th from the last of them. */
function isComputed(step: number, { interval, warmup, tail }: IntervalOptions, steps: number): boolean {
  return step < warmup || step >= steps - tail || (step - warmup + 1) % interval === 0
}

/** A fixed schedule of runs, and the network's output forecast from the last `order` + 1 of them. */
export class IntervalForecast implements MemberPolicy {
  readonly capacity: number
  private readonly options: IntervalOptions
  private readonly forecast: Forecast
  private readonly steps: number
  private readonly network: ReusedOutput
  /** Newest first. */
  private computed: readonly number[] = []

  constructor(options: IntervalOptions, forecast: Forecast, { solver }: RunContext) {
    this.options = options
    this.forecast = forecast
    this.steps = solver.schedule.steps
    this.network = networkOutput(solver, 'noise')
    this.capacity = options.order + 2
  }

  before(step: number): Decision {
    if (isComputed(step, this.options, this.steps)) return run
    const action = this.computed.length > 1 && this.options.order > 0 ? 'extrapolate' : 'reuse'
    return { kind: 'skip', action, x0: this.network.x0(step, this.forecast(this.computed, step)) }
  }

  observe(step: number, done: Decision): Observation {
    return done.kind === 'skip' ? {} : { store: { [outputAt(step)]: this.network.observed(step) } }
  }

  after(step: number, done: Decision): Verdict {
    if (done.kind !== 'skip') this.computed = [step, ...this.computed].slice(0, this.options.order + 1)
    return {}
  }

  keeps(): string[] {
    return this.computed.map(outputAt)
  }
}

/** What there is to say of such a schedule: whether it skips, and whether its order is ever reached. */
export function intervalPreflight(options: IntervalOptions, forecast: Forecast, context: RunContext): string[] {
  const { interval, order, warmup, tail } = options
  const { steps } = context.solver.schedule
  const nothing = [...switchedOff('interval', interval, 1), ...leavesNothing(context, warmup, tail)]
  if (nothing.length > 0) return nothing
  let computed: number[] = []
  let skips = 0
  let nodes = 0
  for (let step = 0; step < steps; step++) {
    if (isComputed(step, options, steps)) computed = [step, ...computed].slice(0, order + 1)
    else {
      skips++
      nodes = Math.max(nodes, Object.keys(forecast(computed, step)).length)
    }
  }
  if (skips === 0) return [`Of ${steps} steps this schedule runs all: nothing can be skipped.`]
  return nodes <= order ? [`Order ${order} is never reached in ${steps} steps: ${nodes - 1} is.`] : []
}
