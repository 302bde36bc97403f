/** Figures as a reader sees them. */
export const times = (value: number): string => `${value.toFixed(2)}×`
export const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
export const runs = (value: number): string => value.toFixed(Number.isInteger(value) ? 0 : 1)
export const dB = (value: number | null): string => (value === null ? 'equal' : `${value.toFixed(1)} dB`)
/** SSIM; what would round to 1 is not equal. */
export const similarity = (value: number): string => (value > 0.99995 && value < 1 ? '> 0.9999' : value.toFixed(4))

/** `flow-euler` → `Flow Euler`: names as headings. */
const SCHEDULER_NAMES: Readonly<Record<string, string>> = {
  'flow-euler': 'Flow-matching Euler',
  'dpm++': 'DPM-Solver++ (2M)',
  'dpm++-sde': 'SDE-DPM-Solver++ (2M)',
  euler: 'Euler',
  'euler-ancestral': 'Euler ancestral',
}
export const schedulerName = (scheduler: string): string => SCHEDULER_NAMES[scheduler] ?? scheduler
