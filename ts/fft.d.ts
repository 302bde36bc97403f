/** What is used of fft.js 4.0.4, which brings no types. */
declare module 'fft.js' {
  export default class FFT {
    /** @param size a power of two above 1 */
    constructor(size: number)
    readonly size: number
    /** The spectrum of `data`, both as pairs of real and imaginary part, [2·size]. */
    transform(out: Float64Array, data: Float64Array): void
    /** The data of `spectrum`, scaled by 1/size. */
    inverseTransform(out: Float64Array, spectrum: Float64Array): void
    /** The first half of the spectrum of `data` [size], as pairs of real and imaginary part, into `out` [2·size]. */
    realTransform(out: Float64Array, data: Float64Array): void
  }
}
