/** A slope that turns further than this says no more. */
const FURTHEST = 2
/** The strongest response that is reckoned with. */
const STRONGEST = -6

/**
 * How one member's network answers to errors of its state, as learnt in a run: where the state is off by an error e, measured in clean samples, the
 * network's clean sample is off by `value`·e, along what skips get wrong. Strong guidance makes it less than −1, as it takes away several times
 * what the answer without the prompt moves by. The network then overcorrects. In a full run the next step undoes that; a skip delays it, and
 * the clean samples swing.
 */
export class Response {
  private readonly damping: number
  private value = 0

  /** `damping`: the rate of learning, 0 for none. */
  constructor(damping: number) {
    this.damping = damping
  }

  get isKnown(): boolean {
    return this.value !== 0
  }

  /**
   * A share `cameTrue` of the last slope was found at a step. In full runs of the bundled model that is 0.5 to 0.7 of samples two and three steps
   * apart at any guidance scale; where skips have the network overreact it goes down to −1, where that is allowed for it comes back above 0.
   */
  learn(cameTrue: number): void {
    const seen = Math.max(-FURTHEST, Math.min(FURTHEST, cameTrue))
    this.value = Math.max(STRONGEST, Math.min(0, this.value + this.damping * seen))
  }

  /**
   * The network was asked before the state was corrected. Its surprise d (its clean sample minus the prediction) makes the correction move the
   * state by moved·d, in clean samples; at the corrected state the surprise would be s·d, with s = 1 + value·moved·s. Returns s.
   */
  share(moved: number): number {
    return 1 / (1 - this.value * moved)
  }
}
