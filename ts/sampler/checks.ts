import { invalidArgument } from '../errors.ts'

/** What every call takes: an object of options, a signal, a callback. Throws INVALID_ARGUMENT. */
export function checkCall(options: { readonly signal?: unknown; readonly onStep?: unknown }): void {
  if (typeof options !== 'object' || options === null) throw invalidArgument('options', 'an object', options)
  const { signal, onStep } = options
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidArgument('signal', 'an AbortSignal', signal)
  if (onStep !== undefined && typeof onStep !== 'function') throw invalidArgument('onStep', 'a function', onStep)
}
