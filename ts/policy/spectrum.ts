import { plus, times, type Row } from '../solver/row.ts'
import type { PolicyDefinition } from './definition.ts'
import { x0At } from './history.ts'
import { run, type Decision, type MemberPolicy, type Observation, type RunContext, type Verdict } from './policy.ts'
import { drySchedule, leavesNothing } from './preflight.ts'

export interface SpectrumOptions {
  degree: number
  ridge: number
  blend: number
  window: number
  growth: number
  warmup: number
  stop: number
  span: number
}

/** Clean samples that the fit is made of (published: the larger of this and degree + 1). A skip can read so many, the state and x0Prev. */
const NODES = 6

/**
 * Spectrum (CVPR 2026), in the form of stable-diffusion.cpp: Chebyshev polynomials of τ = 2i/span − 1 are fitted with ridge
 * regression to the last computed clean samples (every element its own fit, so that the forecast is one weighted sum of
 * them) and blended with half a step along their last difference, whatever gap that spans: blend·fit + (1 − blend)·(h + ½(h − h')).
 * After the warm-up every ⌊w⌋-th step runs, w growing by `growth` with each run, up to `stop` of the steps.
 */
export const spectrum: PolicyDefinition<SpectrumOptions> = {
  name: 'spectrum',
  about: 'Runs ever fewer steps and forecasts the clean sample by a ridge fit of Chebyshev polynomials in between.',
  source: 'Spectrum (CVPR 2026), as in stable-diffusion.cpp',
  options: {
    degree: { about: 'degree of the polynomials (published: 3, authors 4)', default: 3, min: 1, max: NODES - 1, integer: true },
    ridge: { about: 'weight of the ridge (published: 1, authors 0.1)', default: 1, min: 1e-6, max: 1e6 },
    blend: {
      about: "share of the fit; the rest is the last difference's (published: 0.4, authors 0.5 to 1)",
      default: 0.4,
      min: 0,
      max: 1,
    },
    window: { about: 'run one step of every n at first', default: 2, min: 1, max: 1000 },
    growth: { about: 'how much n grows with every run (published: 0.5, authors 0.75)', default: 0.5, min: 0, max: 100 },
    warmup: { about: 'first steps that always run', default: 4, min: 2, max: 1000, integer: true },
    stop: { about: 'share of the steps after which all run', default: 0.9, min: 0, max: 1 },
    span: {
      about: 'steps over which τ goes from −1 to 1 (published: 50, however many there are)',
      default: 50,
      min: 1,
      max: 1000,
    },
  },
  begin: (options, context) => Array.from({ length: context.members }, () => new SpectrumMember(options, context)),
  preflight(options, context) {
    const { steps } = context.solver.schedule
    const nothing = leavesNothing(context, options.warmup, steps - Math.floor(options.stop * steps))
    if (nothing.length > 0) return nothing
    const beyond = `Steps after ${options.span} lie beyond the axis of the fit, which ends at τ = 1: set span to ${steps}.`
    return [...drySchedule(new SpectrumMember(options, context), context), ...(steps > options.span ? [beyond] : [])]
  },
}

class SpectrumMember implements MemberPolicy {
  readonly capacity = NODES + 1
  private readonly options: SpectrumOptions
  private readonly end: number
  /** Newest first. */
  private computed: readonly number[] = []
  private window: number
  private skipped = 0

  constructor(options: SpectrumOptions, { solver }: RunContext) {
    this.options = options
    this.end = Math.floor(options.stop * solver.schedule.steps)
    this.window = options.window
  }

  before(step: number): Decision {
    if (step < this.options.warmup || step >= this.end || this.computed.length < 2) return run
    if ((this.skipped + 1) % Math.floor(this.window) === 0) return run
    return { kind: 'skip', action: 'extrapolate', x0: this.forecast(step) }
  }

  observe(step: number, done: Decision): Observation {
    return done.kind === 'skip' ? {} : { store: { [x0At(step)]: { x0: 1 } } }
  }

  after(step: number, done: Decision): Verdict {
    if (done.kind === 'skip') {
      this.skipped++
      return {}
    }
    this.skipped = 0
    if (step >= this.options.warmup) this.window += this.options.growth
    this.computed = [step, ...this.computed].slice(0, NODES)
    return {}
  }

  keeps(): string[] {
    return this.computed.map(x0At)
  }

  private forecast(step: number): Row {
    const { degree, ridge, blend, span } = this.options
    const basis = (i: number): number[] => chebyshev((2 * i) / span - 1, degree)
    const weights = ridgeWeights(this.computed.map(basis), basis(step), ridge)
    const fit = Object.fromEntries(weights.map((weight, k) => [x0At(this.computed[k]), weight]))
    const [newest, older] = this.computed
    return plus(times(blend, fit), times(1 - blend, { [x0At(newest)]: 1.5, [x0At(older)]: -0.5 }))
  }
}

/** T_0(τ) … T_degree(τ) */
function chebyshev(tau: number, degree: number): number[] {
  const values = [1, tau]
  while (values.length <= degree) values.push(2 * tau * values.at(-1)! - values.at(-2)!)
  return values
}

/** Weights of the samples in the ridge regression's value at `target`: X·(XᵀX + ridge·I)⁻¹·target, one row of X for each sample. */
function ridgeWeights(rows: readonly number[][], target: readonly number[], ridge: number): number[] {
  const normal = target.map((_, i) => target.map((_, j) => rows.reduce((sum, row) => sum + row[i] * row[j], i === j ? ridge : 0)))
  const solution = solvePositive(normal, target)
  return rows.map((row) => row.reduce((sum, value, j) => sum + value * solution[j], 0))
}

/** Solves a small symmetric positive definite system by Gaussian elimination, which needs no pivoting there. */
function solvePositive(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const size = right.length
  const rows = matrix.map((row, i) => [...row, right[i]])
  for (let p = 0; p < size; p++) {
    for (let i = p + 1; i < size; i++) {
      const factor = rows[i][p] / rows[p][p]
      for (let j = p; j <= size; j++) rows[i][j] -= factor * rows[p][j]
    }
  }
  const solution = new Array<number>(size).fill(0)
  for (let i = size - 1; i >= 0; i--) {
    const known = solution.reduce((sum, value, j) => (j > i ? sum + rows[i][j] * value : sum), 0)
    solution[i] = (rows[i][size] - known) / rows[i][i]
  }
  return solution
}
