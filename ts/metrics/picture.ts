/** The shape of a sample: [channels, height, width], values in [−1, 1]. */
export type PictureShape = readonly [channels: number, height: number, width: number]
