import type { Row } from '../solver/row.ts'
import type { PolicyDefinition } from './definition.ts'
import { IntervalForecast, intervalPreflight, outputAt, type Forecast, type IntervalOptions } from './interval-forecast.ts'
import { lagrangeWeights } from '../solver/lagrange.ts'

export interface ResilPhaseOptions extends IntervalOptions {
  readonly balance: number
}

/**
 * ResilPhase (published code, "balanced" mapping): the feature at step i is interpolated through the last `order` + 1 computed steps s on
 * the phase axis tanh(balance·(s − mean)/max|s − mean|), which saturates, so that the continuation slows down. Its barycentric
 * Lagrange form is the Lagrange polynomial; with a handful of nodes the weights are formed directly.
 *
 * Published on the residual of the block stack; here on the network's output (`networkOutput` says which quantity that is). The map
 * is linear in the feature, and the network's input continues itself almost linearly, so the two nearly agree.
 */
export const resilPhase: PolicyDefinition<ResilPhaseOptions> = {
  name: 'resilphase',
  about: "Runs every n-th step and continues the network's output as a polynomial in a saturating phase.",
  source: 'ResilPhase, published code',
  options: {
    interval: { about: 'run one step of every n', default: 6, min: 1, max: 1000, integer: true },
    order: { about: 'degree of the polynomial', default: 1, min: 0, max: 4, integer: true, fewest: 0 },
    balance: { about: 'how soon the phase saturates; near 0: not at all', default: 0.55, min: 0.001, max: 10 },
    warmup: { about: 'first steps that always run', default: 3, min: 1, max: 1000, integer: true },
    tail: { about: 'last steps that always run (published: none)', default: 0, min: 0, max: 1000, integer: true },
  },
  freshNoise: 'unknown to it',
  begin: (options, context) =>
    Array.from({ length: context.members }, () => new IntervalForecast(options, polynomial(options), context)),
  preflight: (options, context) => intervalPreflight(options, polynomial(options), context),
}

function polynomial({ balance }: ResilPhaseOptions): Forecast {
  return (computed, step): Row => {
    const mean = computed.reduce((sum, s) => sum + s, 0) / computed.length
    const reach = Math.max(...computed.map((s) => Math.abs(s - mean)))
    const phase = (s: number): number => Math.tanh((balance * (s - mean)) / reach)
    const weights = computed.length === 1 ? [1] : lagrangeWeights(computed.map(phase), phase(step))
    return Object.fromEntries(weights.map((weight, k) => [outputAt(computed[k]), weight]))
  }
}
