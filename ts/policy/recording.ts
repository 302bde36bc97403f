import * as v from 'valibot'
import { invalidArgument, pointerOf, SadaError } from '../errors.ts'
import type { Row } from '../solver/row.ts'
import type {
  Correction,
  Decision,
  FeatureChange,
  Features,
  MemberPolicy,
  Observation,
  Policy,
  RunContext,
  Verdict,
} from './policy.ts'

const numbers = v.array(v.number())
const row = v.record(v.string(), v.number())
const pair = v.tuple([v.number(), v.number()])
const whole = (most: number) => v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(most))
const decision = v.variant('kind', [
  v.object({ kind: v.literal('run') }),
  v.object({
    kind: v.literal('prune'),
    selection: v.object({
      maxKept: whole(2 ** 31 - 1),
      window: v.tuple([whole(2 ** 15), whole(2 ** 15)]),
      seed: whole(2 ** 32 - 1),
      fullAbove: v.number(),
    }),
  }),
  v.object({ kind: v.literal('partial'), weights: numbers }),
  v.object({ kind: v.literal('skip'), action: v.picklist(['extrapolate', 'interpolate', 'reuse']), x0: row }),
])
const recording = v.object({
  schema: v.literal('sada-recording/1'),
  policy: v.string(),
  /** The policy's options as they held in the run, so that a changed default changes nothing. */
  options: v.record(v.string(), v.unknown()),
  solver: v.string(),
  guidance: v.number(),
  /** Noise levels [α, σ] of the run, one more than its steps. */
  levels: v.array(pair),
  /** For each member and step what was done, and what was measured there; null for what was not finite, which JSON has no word for. */
  members: v.pipe(
    v.array(v.array(v.object({ done: decision, means: v.array(v.nullable(v.number())), magnitude: v.number() }))),
    v.minLength(1, 'Expected at least one member'),
  ),
})

/** What a policy decided in one run, and what it saw: plain data, fit for JSON. `{ name: 'replay', recording }` decides the same again. */
export type Recording = v.InferOutput<typeof recording>

/** A recording that was read from a file, checked. Throws INVALID_ARGUMENT. */
export function checkRecording(value: unknown): Recording {
  if (typeof value !== 'object' || value === null)
    throw invalidArgument('policy.recording', "a result's recording (generate or sample with record: true)", value)
  const result = v.safeParse(recording, value)
  if (result.success) return result.output
  const [issue] = result.issues
  throw new SadaError(
    'INVALID_ARGUMENT',
    `"policy.recording" is not a recording of this version: ${issue.message} at ${pointerOf(issue)}.`,
    {
      argument: 'policy.recording',
    },
  )
}

/** A policy that notes what it does. `take` returns the notes of its last run, once that is over. */
export function recorded(policy: Policy): { readonly policy: Policy; take(): Recording } {
  let notes: Recording | undefined
  const recording: Policy = {
    name: policy.name,
    begin(context) {
      const begun = policy.begin(context)
      const { schedule } = context.solver
      const members = begun.members.map((inner) => new RecordingMember(inner))
      // A replay is a run of the policy that it repeats.
      const repeated = policy.name === 'replay' ? begun.options : { policy: policy.name, ...begun.options }
      const { policy: name, ...options } = repeated as { readonly policy: string }
      notes = {
        schema: 'sada-recording/1',
        policy: name,
        options,
        solver: schedule.solver,
        guidance: context.guidance,
        levels: schedule.levels.map(({ alpha, sigma }) => [alpha, sigma]),
        members: members.map(({ steps }) => steps),
      }
      return { ...begun, members }
    },
  }
  return { policy: recording, take: () => notes! }
}

/**
 * Decides as a recorded run did, step by step, whatever is measured now; each step's trace says by how much the
 * measurements part from the recorded ones (`deviation`) and where the policy itself would have decided otherwise (`own`).
 * `policy` is the recorded one with its recorded options. A recording of one member is replayed by every member.
 */
export function replayed(policy: Policy, recording: Recording): Policy {
  return {
    name: 'replay',
    begin(context) {
      checkFits(recording, context)
      const { options, members } = policy.begin(context)
      const added = Object.keys(options).find((name) => !Object.hasOwn(recording.options, name))
      if (added !== undefined) throw unknownThen(recording.policy, added)
      const steps = (b: number): Recording['members'][number] => recording.members[recording.members.length === 1 ? 0 : b]
      return {
        options: { policy: recording.policy, ...options },
        members: members.map((inner, b) => new ReplayingMember(inner, steps(b))),
      }
    },
  }
}

function checkFits({ levels, solver, guidance, members }: Recording, { solver: { schedule }, ...context }: RunContext): void {
  const differ = (what: string, recordedValue: unknown, found: unknown): SadaError =>
    new SadaError(
      'INVALID_ARGUMENT',
      `The recording was made with ${what} ${String(recordedValue)}, this run has ${String(found)}.`,
      {
        argument: 'policy.recording',
      },
    )
  if (solver !== schedule.solver) throw differ('the solver', solver, schedule.solver)
  if (levels.length !== schedule.levels.length) throw differ('steps:', levels.length - 1, schedule.steps)
  const at = levels.findIndex(([alpha, sigma], i) => alpha !== schedule.levels[i].alpha || sigma !== schedule.levels[i].sigma)
  if (at >= 0) throw differ(`at step ${at} the noise level [α, σ] =`, levels[at], Object.values(schedule.levels[at]))
  if (guidance !== context.guidance) throw differ('guidance', guidance, context.guidance)
  if (members.length !== 1 && members.length !== context.members) throw differ('members:', members.length, context.members)
  const uneven = members.find((steps) => steps.length !== schedule.steps)
  if (uneven) throw differ("a member's steps:", uneven.length, schedule.steps)
}

/** What an option that is new since would do was not part of the recorded run. */
function unknownThen(policy: string, option: string): SadaError {
  const message = `The recording was made before "${policy}" had an option "${option}": record the run again.`
  return new SadaError('INVALID_ARGUMENT', message, { argument: 'policy.recording' })
}

/** Passes everything on to the policy it stands for. */
abstract class Delegate implements MemberPolicy {
  readonly capacity: number
  readonly features?: Features
  protected readonly inner: MemberPolicy

  constructor(inner: MemberPolicy) {
    this.inner = inner
    this.capacity = inner.capacity
    this.features = inner.features
  }

  before(step: number): Decision {
    return this.inner.before(step)
  }
  midway(step: number, ...found: readonly FeatureChange[]): Decision {
    return this.inner.midway!(step, ...found)
  }
  observe(step: number, done: Decision): Observation {
    return this.inner.observe(step, done)
  }
  after(step: number, done: Decision, means: readonly number[], magnitude: number): Verdict {
    return this.inner.after(step, done, means, magnitude)
  }
  correction(step: number): Correction | undefined {
    return this.inner.correction?.(step)
  }
  aside(ms: number): void {
    this.inner.aside?.(ms)
  }
  keeps(): readonly string[] {
    return this.inner.keeps()
  }
}

class RecordingMember extends Delegate {
  readonly steps: Recording['members'][number] = []

  override after(step: number, done: Decision, means: readonly number[], magnitude: number): Verdict {
    this.steps.push({
      done: structuredClone(done) as Recording['members'][number][number]['done'],
      means: means.map(finite),
      magnitude,
    })
    return super.after(step, done, means, magnitude)
  }
}

class ReplayingMember extends Delegate {
  private readonly steps: Recording['members'][number]
  /** What the policy itself would do at this step. */
  private own: Decision | undefined
  /** What its policy kept of the steps before. */
  private kept: readonly string[] = []

  constructor(inner: MemberPolicy, steps: Recording['members'][number]) {
    super(inner)
    this.steps = steps
  }

  override before(step: number): Decision {
    this.own = super.before(step)
    const { done } = this.steps[step]
    if (done.kind === 'partial' && !this.features) throw changed(step, 'leaves stages out, which its policy does not')
    // What was decided in the middle of the pass is decided there again, so that the policy sees what it saw.
    return done.kind === 'partial' && this.features?.probes && this.own.kind === 'run' ? this.own : done
  }

  override midway(step: number, ...found: readonly FeatureChange[]): Decision {
    this.own = super.midway(step, ...found)
    return this.steps[step].done
  }

  override observe(step: number, done: Decision): Observation {
    const observation = super.observe(step, done)
    const { store = {}, means = [] } = observation
    if (done.kind === 'skip') this.checkKept(step, [done.x0], step === 0 ? ['x'] : ['x', 'x0Prev'])
    this.checkKept(step, [...Object.values(store), ...means.flatMap(({ a, b = {} }) => [a, b])], OBSERVABLE)
    return observation
  }

  override after(step: number, done: Decision, means: readonly number[], magnitude: number): Verdict {
    const verdict = super.after(step, done, means, magnitude)
    this.kept = this.keeps()
    const then = this.steps[step]
    const deviation = Math.max(
      relative(magnitude, then.magnitude),
      ...means.map((mean, k) => relative(finite(mean), k in then.means ? then.means[k] : 0)),
    )
    const { own } = this
    return {
      ...verdict,
      ...(deviation > 0 && { deviation }),
      ...(own !== undefined && own.kind !== then.done.kind && { own: own.kind === 'skip' ? own.action : own.kind }),
    }
  }

  /** Decisions that the policy cannot have made lead to steps it has not kept. */
  private checkKept(step: number, rows: readonly Row[], always: readonly string[]): void {
    const missing = rows.flatMap((row) => Object.keys(row)).find((name) => !always.includes(name) && !this.kept.includes(name))
    if (missing === undefined) return
    throw changed(step, `needs "${missing}", which its policy does not keep until then`)
  }
}

function changed(step: number, what: string): SadaError {
  const message = `At step ${step} the recording ${what}: it was changed, or another version made it.`
  return new SadaError('INVALID_ARGUMENT', message, { argument: 'policy.recording' })
}

/** What rows of an `Observation` may use of the step itself. */
const OBSERVABLE = ['x', 'estimate', 'x0', 'y', 'next', 'output']

const finite = (mean: number): number | null => (Number.isFinite(mean) ? mean : null)

/** |found − then| relative to the larger of the two; 0 where they are equal, 1 where one of them alone is finite. */
function relative(found: number | null, then: number | null): number {
  if (found === null || then === null) return found === then ? 0 : 1
  return found === then ? 0 : Math.abs(found - then) / Math.max(Math.abs(found), Math.abs(then))
}
