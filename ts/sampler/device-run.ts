import type { SadaRun } from '../native/types.ts'
import { SadaMember } from '../policy/sada.ts'
import { finished } from './abort.ts'
import { nonFinite } from './checks.ts'
import type { LoopOptions } from './loop.ts'
import type { Member } from './member.ts'
import type { DevicePass } from './network.ts'
import { encodeSadaProgram, type SadaNumbers } from './sada-program.ts'

/** Numbers of a report (native/device.h): before the steps', and of each step. */
const [HEADER, RECORD] = [5, 3]

/**
 * A member's steps decided on the GPU that makes them: the same ones, bit for bit, as the loop's, without waiting for what was measured.
 * Pruning chooses tokens on the host; audits, recordings, fresh noise and changes of the state between steps want a look at every step. Those runs,
 * and runs of several members, whose passes the loop makes together for those that run, are the loop's.
 */
export class DeviceRun {
  private readonly options: LoopOptions
  private readonly member: Member
  private readonly tensors: readonly number[]
  private readonly run: SadaRun
  private made = 0
  /** Milliseconds spent waiting for the device. */
  waitedMs = 0

  constructor(options: LoopOptions, member: Member, numbers: SadaNumbers, pass: DevicePass) {
    const { solver, workspace, latents } = options
    const { timesteps, levels } = solver.schedule
    const { engine, ops, samples, level, output } = pass
    this.options = options
    this.member = member
    this.tensors = member.tensors()
    const input = (step: number) =>
      pass.input({ step, timestep: timesteps[step], level: levels[step], inputScale: solver.inputScale(step) })
    this.run = engine.sample(workspace, {
      program: encodeSadaProgram(numbers, solver, output.row, input),
      length: latents[0].length,
      buffers: this.tensors.map((tensor) => ({ tensor, offset: 0 })),
      samples,
      level,
      pass: ops,
      cond: output.buffers.cond,
      uncond: output.buffers.uncond,
    })
  }

  /** Makes the steps before `step`, and notes them in the member's trace. Rejects with the signal's reason, at once, when it fires. */
  async advance(step: number): Promise<void> {
    if (step <= this.made) return
    const { signal, solver } = this.options
    const startedAt = performance.now()
    const report = await finished(this.run.advance(step), signal, { step: this.made })
    const ms = performance.now() - startedAt
    this.waitedMs += ms
    const [made, , isNotFinite, state, denoised] = report
    for (let k = this.made; k < made; k++) this.note(k, report.subarray(HEADER + RECORD * k), ms / (made - this.made))
    if (isNotFinite) throw nonFinite(made, this.member.index, solver.schedule.timesteps[made])
    this.made = made
    this.member.place(this.tensors[state], this.tensors[denoised])
  }

  private note(step: number, [isSkip, criterion, error]: Float64Array, ms: number): void {
    if (!isSkip) this.member.nfe++
    this.member.trace.push({
      step,
      timestep: this.options.solver.schedule.timesteps[step],
      action: isSkip ? 'extrapolate' : 'run',
      ...(!Number.isNaN(criterion) && { criterion }),
      ...(!Number.isNaN(error) && { error }),
      ms,
    })
  }
}

/** The run on the device, where all of it can be made there. */
export function deviceRun(options: LoopOptions, [member, ...others]: readonly Member[]): DeviceRun | undefined {
  const { solver, network, audit, afterStep, storage } = options
  if (others.length > 0 || solver.isStochastic || audit || afterStep || (storage && storage.history !== 'float32'))
    return undefined
  const { policy } = member
  const numbers = policy instanceof SadaMember ? policy.onDevice : undefined
  const pass = numbers && network.onDevice?.()
  return numbers && pass && new DeviceRun(options, member, numbers, pass)
}
