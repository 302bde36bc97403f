import { invalidArgument } from '../errors.ts'
import type { EngineOp, Slice, Workspace } from '../native/types.ts'
import { rowsPerMember } from '../plan/plan-network.ts'
import { RowTensors } from '../plan/row-tensors.ts'
import { finished } from '../sampler/abort.ts'
import type { NetworkNeeds } from '../sampler/memory.ts'
import type { Network, NetworkCall, NetworkOutput } from '../sampler/network.ts'
import { AroundNetwork } from './around-network.ts'
import { Component, type LoadContext } from './component.ts'
import { mutable, type Conditioning, type RowShape } from './denoiser.ts'
import type { Control } from './family.ts'
import type { LatentSize } from './latent-family.ts'
import { residualInputs, residualShapes, timeShape } from './input-shapes.ts'
import { networkProfiles, type SizeRange } from './size-range.ts'

// A ControlNet (Zhang et al. 2023) is a copy of a UNet's first half that reads a picture as well; what it gives is added to the UNet's
// own features. Several add up.

const INPUTS = { sample: ['sample'], time: ['timestep', 'timesteps', 't'], picture: ['controlnet_cond', 'conditioning'] }
const MORE = {
  text: ['encoder_hidden_states'],
  pooled: ['text_embeds'],
  sizes: ['time_ids'],
  strength: ['conditioning_scale'],
}

/** A ControlNet of a folder. */
export class ControlNet {
  readonly component: Component
  /** What of the UNet's conditioning it takes too, by the names of the inputs, which are the UNet's. */
  readonly shared: readonly string[]
  readonly names: { readonly sample: string; readonly time: string; readonly picture: string; readonly strength?: string }

  private constructor(component: Component) {
    const { text, pooled, sizes, ...names } = component.meanings(INPUTS, MORE)
    this.component = component
    this.names = names
    this.shared = [text, pooled, sizes].filter((name) => name !== undefined)
  }

  /** `controlnet`, `controlnet_1`, …, as many as the folder has. Throws IO_MISMATCH where one does not fit the UNet. */
  static async loadAll(context: LoadContext, unet: Component, range?: SizeRange): Promise<ControlNet[]> {
    const inputs = residualInputs(unet)
    const nets: ControlNet[] = []
    for (let k = 0; ; k++) {
      const role = k === 0 ? 'controlnet' : `controlnet_${k}`
      if (!(await Component.has(context, role))) break
      await Component.refuseSet(context, role, 'global_pool_conditions')
      const net = new ControlNet(await Component.load(context, role, range && networkProfiles(range)))
      const outputs = net.component.outputs
      if (inputs.length === 0)
        throw unet.mismatch(
          'inputs down_block_additional_residual_0, … for the ControlNet',
          unet.inputs.map(({ name }) => name),
        )
      if (outputs.length !== inputs.length)
        throw net.component.mismatch(
          `${inputs.length} outputs, one for each of the UNet's inputs`,
          outputs.map(({ name }) => name),
        )
      // Another UNet's reads a text of other features.
      for (const name of net.shared) {
        const [features] = [unet, net.component].map((each) => each.inputs.find((own) => own.name === name)?.dims.at(-1) ?? -1)
        if (features > 0) net.component.expectDimension(name, net.component.tensor(name).dims.length - 1, features, "the UNet's")
      }
      inputs.forEach((name, i) => unet.expectDimension(name, 1, net.component.dimension(outputs[i].name, 1), `the ${role}`))
      nets.push(net)
    }
    return nets
  }
}

/** One ControlNet in a run: its picture, and at which steps it counts how much. */
interface Lead {
  readonly net: ControlNet
  readonly tensors: RowTensors
  readonly strengthAt: (step: number) => number
}

export interface ControlInputs {
  readonly workspace: Workspace
  readonly members: number
  readonly guidance: number
  readonly steps: number
  readonly size: LatentSize
  readonly channels: number
  readonly pixels: readonly [height: number, width: number]
  readonly conditioning: Readonly<Record<string, Conditioning>>
  readonly nets: readonly ControlNet[]
  readonly controls: readonly Control[]
  /** Of each control one picture for all members, or one for each, [3, height, width] from 0 to 1. */
  readonly pictures: readonly (readonly Float32Array[])[]
  readonly unet: Component
  readonly network: Network
  /** The UNet's tensors. */
  readonly tensors: RowTensors
}

/** A UNet led by ControlNets, as one network. */
export class ControlledNetwork extends AroundNetwork {
  private readonly inputs: ControlInputs
  private readonly leads: readonly Lead[]
  private readonly names: readonly string[]

  constructor(inputs: ControlInputs) {
    const { network, nets, controls, unet } = inputs
    super(network)
    this.inputs = inputs
    this.names = residualInputs(unet)
    this.leads = controls.map((control, k) => prepare(inputs, nets[k], control, inputs.pictures[k]))
  }

  override plan(...given: Parameters<NonNullable<Network['plan']>>): NetworkNeeds {
    const { members, tensors } = this.inputs
    const needs = super.plan(...given)
    const every = Array.from({ length: members }, (_, member) => member)
    for (const lead of this.leads) {
      this.commands(every, lead)
      // Members whose rows do not follow each other.
      if (members > 2) this.commands([0, 2], lead)
    }
    const added = this.names.map((name) => tensors.rowLength(name) * members * this.rowsPerMember)
    return { ...needs, stepLength: Math.max(needs.stepLength, ...added) }
  }

  async evaluate(call: NetworkCall): Promise<readonly NetworkOutput[]> {
    const active = this.leads.filter(({ strengthAt }) => strengthAt(call.step) > 0)
    await this.run(call, active)
    await this.add(call, active)
    return this.network.evaluate(call)
  }

  private get rowsPerMember(): number {
    return rowsPerMember(this.guidance)
  }

  /** Evaluates the ControlNets that count at this step. */
  private async run(call: NetworkCall, active: readonly Lead[]): Promise<void> {
    const ops: EngineOp[] = []
    for (const lead of active) {
      await this.compose(call, lead)
      ops.push(...this.commands(call.members, lead))
    }
    if (ops.length === 0) return
    const job = active[0].net.component.engine.run(this.inputs.workspace, ops) // the same for all
    await finished(job, call.signal, { step: call.step, stage: 'controlnet' })
  }

  private async compose({ states, inputScale, timestep }: NetworkCall, { net, tensors }: Lead): Promise<void> {
    const { workspace } = this.inputs
    const rows = this.rowsPerMember
    const weights = [inputScale]
    const members = states.map((state, k) => ({
      inputs: [state],
      rows: Array.from({ length: rows }, (_, r) => ({
        inputs: [0],
        weights,
        store: tensors.slice('call', net.names.sample, k * rows + r),
      })),
      sums: [],
    }))
    await workspace.step(tensors.rowLength(net.names.sample), members)
    const time = tensors.slice('call', net.names.time, 0).tensor as number
    const isWhole = net.component.tensor(net.names.time).type.startsWith('int')
    workspace.write(time, 0, new Float32Array(states.length * rows).fill(isWhole ? Math.trunc(timestep) : timestep))
  }

  private commands(members: readonly number[], { net, tensors }: Lead): EngineOp[] {
    const rows = this.rowsPerMember
    const count = members.length * rows
    const runRows = members.flatMap((member) => Array.from({ length: rows }, (_, r) => member * rows + r))
    const ops: EngineOp[] = []
    const { sample, time } = net.names
    const inputs = net.component.inputs.map(({ name }) =>
      name === sample || name === time ? tensors.bind('call', name, count) : tensors.bindRows(ops, 'run', name, runRows),
    )
    const outputs = net.component.outputs.map(({ name }) => tensors.bind('call', name, count))
    return [...ops, { kind: 'stage', session: net.component.session, inputs, outputs }]
  }

  /** Writes the sum of what the ControlNets give to where the UNet reads it; zeros where none counts. */
  private async add(call: NetworkCall, active: readonly Lead[]): Promise<void> {
    const { workspace, tensors } = this.inputs
    for (const [i, name] of this.names.entries()) {
      const store = tensors.slice('call', name, 0)
      const length = tensors.rowLength(name) * call.members.length * this.rowsPerMember
      if (active.length === 0) {
        workspace.write(store.tensor as number, 0, new Float32Array(length))
        continue
      }
      const given = active.map(({ net, tensors: own }): Slice => own.slice('call', net.component.outputs[i].name, 0))
      const weights = active.map(({ strengthAt }) => strengthAt(call.step))
      await workspace.step(length, [{ inputs: given, rows: [{ inputs: given.map((_, k) => k), weights, store }], sums: [] }])
    }
  }
}

/** ControlNets that one step can add up. */
const MOST_NETS = 8

/** Throws INVALID_ARGUMENT unless there is a ControlNet for each control, and each is sound. */
export function checkControls(controls: readonly Control[], nets: readonly ControlNet[], members: number): void {
  if (controls.length > Math.min(nets.length, MOST_NETS))
    throw invalidArgument(
      'control',
      `at most ${Math.min(nets.length, MOST_NETS)} pictures, one for each ControlNet of the model`,
      controls.length,
    )
  for (const { images, strength = 1, start = 0, end = 1 } of controls) {
    if (images.length !== 1 && images.length !== members)
      throw invalidArgument('control.image', `one picture, or ${members} (one for each prompt)`, images.length)
    if (typeof strength !== 'number' || !(strength >= 0 && strength <= 2))
      throw invalidArgument('control.strength', 'a number from 0 to 2', strength)
    if (typeof end !== 'number' || !(end > 0 && end <= 1))
      throw invalidArgument('control.end', 'a number above 0, at most 1', end)
    if (typeof start !== 'number' || !(start >= 0 && start < end))
      throw invalidArgument('control.start', `at least 0 and below "control.end" (${end})`, start)
  }
}

function prepare(inputs: ControlInputs, net: ControlNet, control: Control, pictures: readonly Float32Array[]): Lead {
  const { workspace, members, guidance, steps, size, channels, pixels, conditioning, unet } = inputs
  const rows = members * rowsPerMember(guidance)
  const { component, names } = net
  const unetShapes = residualShapes(unet, size)
  const outputs = residualInputs(unet).map((name, i) => [component.outputs[i].name, unetShapes[name]] as const)
  const shared = net.shared.map((name) => [name, conditioning[name].shape] as const)
  const shapes: Record<string, RowShape> = {
    [names.sample]: ['rows', channels, ...size],
    [names.time]: timeShape(component, names.time, names.sample),
    [names.picture]: ['rows', 3, ...pixels],
    ...(names.strength !== undefined && { [names.strength]: [1] }),
    ...Object.fromEntries(shared),
    ...Object.fromEntries(outputs),
  }
  const tensors = new RowTensors(workspace, mutable(shapes), rows, 0)
  const write = (name: string, row: number, values: Float32Array): void => {
    const { tensor, offset } = tensors.slice('run', name, row)
    workspace.write(tensor as number, offset, values)
  }
  for (let row = 0; row < rows; row++) {
    write(names.picture, row, pictures.length === 1 ? pictures[0] : pictures[Math.floor(row / rowsPerMember(guidance))])
    // Strengths are applied where the ControlNets are added up.
    if (names.strength !== undefined) write(names.strength, row, Float32Array.of(1))
    for (const name of net.shared) write(name, row, conditioning[name].rows[row])
  }
  const { strength = 1, start = 0, end = 1 } = control
  const strengthAt = (step: number): number => (step / steps < start || (step + 1) / steps > end ? 0 : strength)
  return { net, tensors, strengthAt }
}
