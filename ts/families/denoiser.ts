import type { Engine, TokenLayout, Workspace } from '../native/types.ts'
import { PlanNetwork, rowsPerMember } from '../plan/plan-network.ts'
import { RowTensors } from '../plan/row-tensors.ts'
import type { NetworkCall } from '../sampler/network.ts'
import type { Component } from './component.ts'

/** Shape of one tensor of the network: sizes, and `rows` for the dimension that counts members and guidance branches. */
export type RowShape = readonly (number | 'rows')[]

/** What the network is told beside the state: the same at every step. `rows` has one entry for each row of the run. */
export interface Conditioning {
  readonly shape: RowShape
  readonly rows: readonly Float32Array[]
}

export interface DenoiserInputs {
  readonly engine: Engine
  readonly component: Component
  readonly workspace: Workspace
  readonly members: number
  readonly guidance: number
  readonly state: { readonly input: string; readonly output: string; readonly shape: RowShape; readonly layout?: TokenLayout }
  readonly time: { readonly input: string; readonly value: (call: NetworkCall) => number }
  readonly conditioning: Readonly<Record<string, Conditioning>>
  /** Inputs that something else writes at each step. */
  readonly written?: Readonly<Record<string, RowShape>>
}

/** A model's whole network as one stage, with its conditioning written. */
export function denoiser(inputs: DenoiserInputs): { network: PlanNetwork; tensors: RowTensors } {
  const { engine, component, workspace, members, guidance, state, time, conditioning, written = {} } = inputs
  const rows = members * rowsPerMember(guidance)
  const shapes: Record<string, RowShape> = {
    [state.input]: state.shape,
    [state.output]: state.shape,
    [time.input]: timeShape(component, time.input, state.input),
    ...Object.fromEntries(Object.entries(conditioning).map(([name, { shape }]) => [name, shape])),
    ...written,
  }
  const tensors = new RowTensors(workspace, mutable(shapes), rows, 0)
  for (const [name, { rows: values }] of Object.entries(conditioning)) {
    for (const [row, each] of values.entries()) {
      const { tensor, offset } = tensors.slice('run', name, row)
      workspace.write(tensor as number, offset, each)
    }
  }
  const names = { inputs: component.inputs.map(({ name }) => name), outputs: [state.output] }
  const model = {
    engine,
    sessions: new Map([[component.role, component.session]]),
    stages: [{ name: component.role, kind: 'dense' as const, ...names }],
    conditioning: Object.keys(conditioning),
    layout: state.layout,
    input: {
      sample: state.input,
      level: time.input,
      scale: ({ inputScale }: NetworkCall) => inputScale,
      value: timeOf(component, time),
    },
  }
  return { network: new PlanNetwork(model, workspace, members, guidance, tensors), tensors }
}

/** Shapes as tensors of a plan have them. */
export const mutable = (shapes: Readonly<Record<string, RowShape>>): Record<string, (number | 'rows')[]> =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, [...shape]]))

/** One time for all rows (no dimension, or one of size 1), or one for each: exports differ. */
export function timeShape(component: Component, time: string, sample: string): (number | 'rows')[] {
  const { dims, symbols } = component.tensor(time)
  if (dims.length === 0) return []
  const perRow = dims[0] < 0 && symbols[0] !== '' && symbols[0] === component.tensor(sample).symbols[0]
  return [perRow ? 'rows' : 1]
}

/** Whole numbers where the model takes only those; what is behind the point is cut off, as diffusers' conversion does. */
function timeOf(component: Component, { input, value }: DenoiserInputs['time']): (call: NetworkCall) => number {
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
