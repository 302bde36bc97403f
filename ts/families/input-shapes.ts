import type { Component } from './component.ts'
import type { LatentSize } from './latent-family.ts'

// Shapes of inputs that exports have in more than one way, and of what ControlNets add to a UNet's own features.

/** Layers of a block; published networks have two. */
const MOST_LAYERS = 16

/** The UNet's inputs for what ControlNets add, in the order of the outputs that go there. */
export const residualInputs = (unet: Component): string[] =>
  unet.inputs.map(({ name }) => name).filter((name) => /^(down_block|mid_block)_additional_residual/.test(name))

/** Shapes of a UNet's residual inputs at a size: after the first convolution, then each block's layers and its halving. */
export function residualShapes(unet: Component, [height, width]: LatentSize): Record<string, ['rows', number, number, number]> {
  const names = residualInputs(unet)
  const blocks = unet.blocks(4)
  const { layers_per_block: layers = 2 } = unet.config
  const levels = [0]
  for (let block = 0; block < blocks; block++) {
    const count: unknown = Array.isArray(layers) ? layers[block] : layers
    if (typeof count !== 'number' || !(count >= 1 && count <= MOST_LAYERS))
      throw unet.invalid('layers_per_block', `1 to ${MOST_LAYERS}`)
    levels.push(...Array<number>(Math.floor(count)).fill(block), ...(block < blocks - 1 ? [block + 1] : []))
  }
  levels.push(blocks - 1)
  if (levels.length !== names.length)
    throw unet.mismatch(`${levels.length} inputs for ControlNets, as its configuration has blocks`, names)
  const at = (size: number, level: number): number => Math.ceil(size / 2 ** level)
  return Object.fromEntries(
    names.map((name, k) => [name, ['rows', unet.dimension(name, 1), at(height, levels[k]), at(width, levels[k])]]),
  )
}

/** One time for all rows (no dimension, or one of size 1), or one for each: exports differ. */
export function timeShape(component: Component, time: string, sample: string): (number | 'rows')[] {
  const { dims, symbols } = component.tensor(time)
  if (dims.length === 0) return []
  const perRow = dims[0] < 0 && symbols[0] !== '' && symbols[0] === component.tensor(sample).symbols[0]
  return [perRow ? 'rows' : 1]
}
