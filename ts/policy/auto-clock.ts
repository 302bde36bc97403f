/** What steps cost, measured from one to the next; shared by the members of a batch, which run together. */
export class Clock {
  private readonly startedAt = performance.now()
  private lastAt = this.startedAt
  private readonly costs: Record<'run' | 'skip', number[]> = { run: [], skip: [] }
  private step = 0
  private ran = false
  /** What audits took: of the step before the coming one, and of all before that. An audited run decides as it would without. */
  private aside = 0
  private asideBefore = 0

  get elapsed(): number {
    return performance.now() - this.startedAt - this.asideBefore - this.aside
  }

  /** Told by every member before its decision at `step`. */
  tick(step: number): void {
    if (step === this.step) return
    const now = performance.now()
    this.costs[this.ran ? 'run' : 'skip'].push(now - this.lastAt - this.aside)
    this.asideBefore += this.aside
    this.aside = 0
    this.lastAt = now
    this.step = step
    this.ran = false
  }

  runs(): void {
    this.ran = true
  }

  /** Told the same by every member. */
  audited(ms: number): void {
    this.aside = ms
  }

  /**
   * Median milliseconds of a step that runs the network; of one that does not. Undefined before there was one. The first run also pays for
   * what the others find done (memory, kernels, caches): it counts until there is another.
   */
  get costOfRun(): number | undefined {
    const [first, ...others] = this.costs.run
    return median(others.length > 0 ? others : [first])
  }
  /** Whether the first run is all there is to go by. */
  get isCold(): boolean {
    return this.costs.run.length < 2
  }
  get costOfSkip(): number {
    return median(this.costs.skip) ?? 0.01 * (this.costOfRun ?? 0)
  }
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[values.length >> 1]
}
