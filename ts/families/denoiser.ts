import type { TokenLayout, Workspace } from '../native/types.ts'
import { PlanNetwork, rowsPerMember } from '../plan/plan-network.ts'
import type { StagedNetwork } from '../plan/staged-network.ts'
import { RowTensors } from '../plan/row-tensors.ts'
import type { NetworkMoment } from '../sampler/network.ts'
import type { Component } from './component.ts'
import type { NetworkPlan } from './network-plan.ts'
import { timeShape } from './input-shapes.ts'
import { gridOf, sideOf } from './plan-file.ts'
import { checkRows, type SizeRange } from './size-range.ts'

/** Shape of one tensor of the network: sizes, and `rows` for the dimension that counts members and guidance branches. */
export type RowShape = readonly (number | 'rows')[]

/** What the network is told beside the state: the same at every step. `rows` has one entry for each row of the run. */
export interface Conditioning {
  readonly shape: RowShape
  readonly rows: readonly Float32Array[]
}

export interface DenoiserInputs {
  readonly component: Component
  readonly workspace: Workspace
  readonly members: number
  readonly guidance: number
  /** The network's stages, where it comes in some. */
  readonly plan?: NetworkPlan
  /** What its engine on the GPU was made for. */
  readonly range?: SizeRange
  /** Of the latents, before they are packed. */
  readonly size: readonly [height: number, width: number]
  readonly channels: number
  readonly state: {
    readonly input: string
    readonly output: string
    readonly shape: RowShape
    readonly layout?: TokenLayout
    /** What follows it in the input, for each member. */ readonly beside?: readonly Float32Array[]
  }
  readonly time: { readonly input: string; readonly value: (moment: NetworkMoment) => number }
  readonly conditioning: Readonly<Record<string, Conditioning>>
  /** Inputs that something else writes at each step. */
  readonly written?: Readonly<Record<string, RowShape>>
}

/** A model's network with its conditioning written: in stages where it has a plan, else as one. */
export function denoiser(inputs: DenoiserInputs): { network: PlanNetwork; tensors: RowTensors } {
  const { component, workspace, members, guidance, state, time, conditioning } = inputs
  if (inputs.range) checkRows(inputs.range, members, rowsPerMember(guidance))
  const { shapes, tokens, layout, stages, sessions, reusable } = inputs.plan ? inStages(inputs, inputs.plan) : whole(inputs)
  const tensors = new RowTensors(workspace, shapes, members * rowsPerMember(guidance), tokens)
  for (const [name, { rows: values }] of Object.entries(conditioning)) {
    for (const [row, each] of values.entries()) {
      const { tensor, offset } = tensors.slice('run', name, row)
      workspace.write(tensor as number, offset, each)
    }
  }
  const model = {
    engine: component.engine,
    onGpu: inputs.range !== undefined,
    sessions,
    stages,
    reusable,
    conditioning: Object.keys(conditioning),
    layout,
    tokenCount: tokens,
    input: {
      sample: state.input,
      level: time.input,
      scale: ({ inputScale }: NetworkMoment) => inputScale,
      value: timeOf(component, time),
      beside: state.beside,
    },
  }
  return { network: new PlanNetwork(model, workspace, members, guidance, tensors), tensors }
}

/** What a network is made of in one run. */
interface Made {
  readonly shapes: Record<string, (number | 'rows' | 'tokens')[]>
  /** Tokens of one member. */
  readonly tokens: number
  readonly layout: TokenLayout | undefined
  readonly stages: StagedNetwork['stages']
  readonly reusable?: StagedNetwork['reusable']
  readonly sessions: ReadonlyMap<string, number>
}

function whole({ component, state, time, conditioning, written }: DenoiserInputs): Made {
  const shapes: Record<string, RowShape> = {
    [state.input]: state.beside ? besides(state.shape, state.beside[0].length) : state.shape,
    [state.output]: state.shape,
    [time.input]: timeShape(component, time.input, state.input),
    ...Object.fromEntries(Object.entries(conditioning).map(([name, { shape }]) => [name, shape])),
    ...written,
  }
  const { role, session } = component
  const inputs = component.inputs.map(({ name }) => name)
  return {
    shapes: mutable(shapes),
    tokens: state.layout ? state.layout.grid[0] * state.layout.grid[1] : 0,
    layout: state.layout,
    stages: [{ name: role, kind: 'dense', inputs, outputs: [state.output] }],
    sessions: new Map([[role, session]]),
  }
}

/** [rows, channels, height, width] with so many more values in front of the same map. */
function besides([rows, channels, height, width]: RowShape, more: number): RowShape {
  return [rows, Number(channels) + more / (Number(height) * Number(width)), height, width]
}

function inStages({ state, size, channels, conditioning }: DenoiserInputs, plan: NetworkPlan): Made {
  const told = Object.entries(conditioning).find(([name]) => plan.tensors[name].includes('length'))
  const length = told ? Number(told[1].shape[plan.tensors[told[0]].indexOf('length')]) : 1
  const shapes = Object.entries(plan.tensors).map(([name, dims]) => [
    name,
    dims.map((n) => (n === 'length' ? length : typeof n === 'string' && n !== 'rows' && n !== 'tokens' ? sideOf(n, size) : n)),
  ])
  const { patch } = plan.tokens
  const grid = gridOf(plan, size)
  // Tokens at the edge of an odd size are of fewer latents: then they are not told apart.
  const isEven = grid[0] * patch[0] === size[0] && grid[1] * patch[1] === size[1]
  const isPacked = state.layout?.order === 'tokens'
  const layout: TokenLayout = { order: 'channels-first', channels, grid, patch }
  return {
    shapes: Object.fromEntries(shapes) as Made['shapes'],
    tokens: grid[0] * grid[1],
    layout: isPacked ? state.layout : isEven ? layout : undefined,
    stages: plan.stages,
    reusable: plan.reuse,
    sessions: plan.sessions,
  }
}

/** Shapes as tensors of a plan have them. */
export const mutable = (shapes: Readonly<Record<string, RowShape>>): Record<string, (number | 'rows')[]> =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, [...shape]]))

/** Whole numbers where the model takes only those; what is behind the point is cut off, as diffusers' conversion does. */
function timeOf(component: Component, { input, value }: DenoiserInputs['time']): (moment: NetworkMoment) => number {
  const isWhole = component.tensor(input).type.startsWith('int')
  return isWhole ? (call) => Math.trunc(value(call)) : value
}

/** A value for each row of the run: `conditional` with the prompt, `unconditional` in the second row of a guided pair. */
export function rowsOf(
  conditional: readonly Float32Array[],
  unconditional: readonly Float32Array[],
  guidance: number,
): Float32Array[] {
  return conditional.flatMap((each, k) => (rowsPerMember(guidance) === 1 ? [each] : [each, unconditional[k]]))
}
