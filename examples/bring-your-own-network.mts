// The sampler over a network of your own: npx tsx examples/bring-your-own-network.mts
//
// The "network" is the exact denoiser of a mixture of two Gaussians, so the outcome can be checked: a sample must lie near one of the
// two means. Put your own model's session in its place; a promise is as good as a value.
import { sample, type NetworkFunction } from 'sada'

const SHAPE = [2, 4, 16, 16] // [batch, channels, height, width]
const LENGTH = 4 * 16 * 16
const MEANS = [-1, 1]
const SPREAD = 0.2

/** E[x0 | x], for one member of the batch. */
function denoise(x: Float32Array, alpha: number, sigma: number): Float32Array {
  const variance = (alpha * SPREAD) ** 2 + sigma ** 2
  const logLikelihoods = MEANS.map((mean) => x.reduce((sum, value) => sum - (value - alpha * mean) ** 2, 0) / (2 * variance))
  const top = Math.max(...logLikelihoods)
  const weights = logLikelihoods.map((value) => Math.exp(value - top))
  const total = weights.reduce((a, b) => a + b)
  const mean = weights.reduce((sum, weight, k) => sum + (weight / total) * MEANS[k], 0)
  const gain = (alpha * SPREAD ** 2) / variance
  return x.map((value) => mean + gain * (value - alpha * mean))
}

// Asked only for the members that run at this step: index conditioning (prompts, classes) by `members`.
const network: NetworkFunction = ({ sample, alpha, sigma, members }) => {
  const output = new Float32Array(sample.length)
  members.forEach((_, k) => output.set(denoise(sample.subarray(k * LENGTH, (k + 1) * LENGTH), alpha, sigma), k * LENGTH))
  return output
}

const { latents, trace } = await sample({
  // What stands in a diffusers model's scheduler/scheduler_config.json; prediction_type says what the network returns.
  scheduler: { _class_name: 'DPMSolverMultistepScheduler', beta_schedule: 'scaled_linear', prediction_type: 'sample' },
  steps: 50,
  shape: SHAPE,
  seed: [1, 2], // one generator for each member; or `latents`
  network,
  policy: 'sada',
})

for (const [b, { nfe, steps }] of trace.members.entries()) {
  const mean = latents.subarray(b * LENGTH, (b + 1) * LENGTH).reduce((sum, value) => sum + value, 0) / LENGTH
  console.log(`member ${b}: mean ${mean.toFixed(3)}, ${nfe} network runs of ${steps.length}`)
}
