import { invalidArgument } from '../errors.ts'
import type { StepMember } from '../native/types.ts'
import { mixedShare, noiseShare } from '../schedule/noise-level.ts'
import { minus, substitute, type Row } from '../solver/row.ts'
import type { Solver } from '../solver/solver.ts'
import { StepRequest, type FindSlice } from './buffers.ts'
import type { NetworkOutput } from './network.ts'

/**
 * What recomputed skips say of a member's run. Errors are root mean squares over its elements, in the sample's own unit. They are
 * weighed by how much of x0 a step mixes into the state and added up: what skips put into the final sample, before computed steps mend
 * them, if the rest of the run neither amplifies nor damps it. A network that takes another branch because of them is not foreseen.
 */
export interface AuditReport {
  /** Skips of the run. */
  readonly skipped: number
  /** Those of them that were computed as well. */
  readonly audited: number
  /** Estimate of that sum, and its 95 % interval (Student's t over the audited skips); without two of them there is no interval. */
  readonly error: { readonly estimate: number; readonly low: number; readonly high: number } | undefined
}

/** Chooses which skips are recomputed, by a fixed pseudo-random sequence, and gathers what that shows. Its run is not changed by it. */
export class Audit {
  private readonly share: number
  private readonly solver: Solver
  private readonly errors: number[][]

  constructor(share: number, solver: Solver, members: number) {
    this.share = share
    this.solver = solver
    this.errors = Array.from({ length: members }, () => [])
  }

  /** Whether this member's skip at this step is recomputed. */
  chooses(step: number, member: number): boolean {
    return hash(step * 65537 + member) < this.share
  }

  /** The request that measures Σ(x0 − truth)², where `x0` stands in for what the network's `output` implies. */
  request(step: number, x0: Row, output: NetworkOutput, find: FindSlice): StepMember {
    const truth = substitute(this.solver.denoised(step), { output: output.row })
    const request = new StepRequest((name) => output.buffers[name] ?? find(name))
    const missed = request.row(minus(x0, truth))
    request.sum(missed, missed)
    return request.build()
  }

  /** Notes a measured error; returns it. */
  note(step: number, member: number, error: number): number {
    const { levels } = this.solver.schedule
    this.errors[member].push(mixedShare(noiseShare(levels[step]), noiseShare(levels[step + 1])) * error)
    return error
  }

  /** What was found of a member that has made so many skips: one that was refused is none. */
  report(member: number, skipped: number): AuditReport {
    const errors = this.errors[member]
    const audited = errors.length
    if (audited < 2) return { skipped, audited, error: undefined }
    const mean = errors.reduce((sum, e) => sum + e, 0) / audited
    const variance = errors.reduce((sum, e) => sum + (e - mean) ** 2, 0) / (audited - 1)
    // Of a finite number of skips, the audited ones are not uncertain.
    const spread = skipped * Math.sqrt((variance / audited) * (1 - audited / skipped)) * t95(audited - 1)
    const estimate = skipped * mean
    return { skipped, audited, error: { estimate, low: Math.max(0, estimate - spread), high: estimate + spread } }
  }
}

/** Checks `audit`: a share of the skips, 0 … 1. */
export function checkAudit(audit: number | undefined): number {
  if (audit === undefined) return 0
  if (typeof audit !== 'number' || !(audit >= 0 && audit <= 1)) throw invalidArgument('audit', 'a number from 0 to 1', audit)
  return audit
}

/** Two-sided 95 % quantile of Student's t, to 0.002 (Cornish–Fisher; the first five, where that is worse, from a table). */
export function t95(degrees: number): number {
  if (degrees <= 5) return [12.7062, 4.3027, 3.1824, 2.7764, 2.5706][degrees - 1]
  const z = 1.959964
  const n = degrees
  const [g1, g2] = [(z ** 3 + z) / 4, (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96]
  const g3 = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384
  return z + g1 / n + g2 / n ** 2 + g3 / n ** 3
}

/** A number in [0, 1) for an integer: the finaliser of MurmurHash3. */
function hash(n: number): number {
  let h = (n + 0x9e3779b9) | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32
}
