import { invalidArgument, SadaError } from '../errors.ts'

/** What every call takes: an object of options, a signal, a callback. Throws INVALID_ARGUMENT. */
export function checkCall(options: { readonly signal?: unknown; readonly onStep?: unknown }): void {
  if (typeof options !== 'object' || options === null) throw invalidArgument('options', 'an object', options)
  const { signal, onStep } = options
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidArgument('signal', 'an AbortSignal', signal)
  if (onStep !== undefined && typeof onStep !== 'function') throw invalidArgument('onStep', 'a function', onStep)
}

/** A network's answer that cannot be gone on with. */
export function nonFinite(step: number, member: number, timestep: number): SadaError {
  const message =
    `The network's answer for member ${member} at step ${step} (timestep ${timestep}) holds NaN or infinity, or values beyond ` +
    'float32. Check the network, its precision and the guidance scale.'
  return new SadaError('NON_FINITE', message, { step })
}

/** A policy that leaves stages out of a network without any. */
export function onePiece(policy: string): SadaError {
  const message = `Policy "${policy}" leaves stages out, and this network is one piece.`
  return new SadaError('UNSUPPORTED', message, { argument: 'policy' })
}

export const afterCallback = (): SadaError =>
  new SadaError('INVALID_ARGUMENT', 'denoised() and state() can be called inside the step callback only.')
