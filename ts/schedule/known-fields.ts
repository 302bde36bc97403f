import { nearestName } from '../errors.ts'

// What the schedulers of diffusers 0.42 call their configuration fields. A field of another scheduler is no reason to warn:
// configurations travel between classes, each of which takes what it knows.

const training = ['num_train_timesteps', 'beta_start', 'beta_end', 'beta_schedule', 'trained_betas', 'rescale_betas_zero_snr']
const grid = ['timestep_spacing', 'steps_offset', 'final_sigmas_type', 'sigma_min', 'sigma_max']
const curves = ['use_karras_sigmas', 'use_exponential_sigmas', 'use_beta_sigmas']
const thresholding = ['thresholding', 'dynamic_thresholding_ratio', 'sample_max_value']

const dpmpp = [
  ...training,
  ...grid,
  ...curves,
  ...thresholding,
  'prediction_type',
  'solver_order',
  'algorithm_type',
  'solver_type',
  'lower_order_final',
  'euler_at_final',
  'use_lu_lambdas',
  'use_flow_sigmas',
  'flow_shift',
  'lambda_min_clipped',
  'variance_type',
  'use_dynamic_shifting',
  'time_shift_type',
]

/** The fields that each of the supported schedulers reads, or refuses where they ask for something unsupported. */
const fieldsOf = {
  'dpm++': dpmpp,
  'dpm++-sde': dpmpp,
  euler: [...training, ...grid, ...curves, 'prediction_type', 'interpolation_type', 'timestep_type'],
  'euler-ancestral': [...training, 'prediction_type', 'timestep_spacing', 'steps_offset'],
  'flow-euler': [
    ...curves,
    'sigma_min',
    'sigma_max',
    'num_train_timesteps',
    'shift',
    'use_dynamic_shifting',
    'base_shift',
    'max_shift',
    'base_image_seq_len',
    'max_image_seq_len',
    'invert_sigmas',
    'shift_terminal',
    'time_shift_type',
    'stochastic_sampling',
  ],
} as const satisfies Record<string, readonly string[]>

/** Fields of other schedulers of diffusers, which say nothing to the supported ones. */
const fieldsOfOthers: readonly string[] = [
  'clip_sample',
  'clip_sample_range',
  'set_alpha_to_one',
  'skip_prk_steps',
  'corrector_order',
  'predictor_order',
  'predict_x0',
  'disable_corrector',
  'solver_p',
  'tau_func',
  'noise_sampler_seed',
  'original_inference_steps',
  'timestep_scaling',
  'rho',
  'sigma_data',
  'sigma_schedule',
  'scale_factors',
  'upscale_mode',
  'set_alpha_to_zero',
  'snr_shift_scale',
  'quantization_config',
]

export const classNames = {
  'dpm++': 'DPMSolverMultistepScheduler',
  'dpm++-sde': 'DPMSolverMultistepScheduler',
  euler: 'EulerDiscreteScheduler',
  'euler-ancestral': 'EulerAncestralDiscreteScheduler',
  'flow-euler': 'FlowMatchEulerDiscreteScheduler',
} as const

/** One sentence for each field that no scheduler has. */
export function warningsFor(values: Readonly<Record<string, unknown>>, solver: keyof typeof fieldsOf): string[] {
  const known: readonly string[] = [...new Set([...Object.values(fieldsOf).flat(), ...fieldsOfOthers])]
  return Object.keys(values)
    .filter((name) => !name.startsWith('_') && !known.includes(name))
    .map((name) => {
      const nearest = nearestName(name, fieldsOf[solver])
      const hint = nearest ? ` Did you mean "${nearest}"?` : ''
      return `scheduler_config.json: the field "${name}" is unknown and has no effect.${hint}`
    })
}
