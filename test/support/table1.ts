import { assemble } from '../../ts/bench/table1/assemble.ts'
import { keyOf, type Run, type Session } from '../../ts/bench/table1/journal.ts'
import type { TableResult } from '../../ts/bench/table1/result.ts'

export const session: Session = {
  type: 'session',
  model: 'fake',
  steps: 4,
  seed: 0,
  created: '2026-01-02T03:04:05.000Z',
  machine: { cpu: 'A processor', cores: 2, load_average: 0 },
  versions: { sada: '0.0.0', commit: null },
}

/** A finished run of the euler solver on a full prompt. */
export function run(method: string, index: number, psnr: number | null, given: Partial<Run> = {}): Run {
  const { steps = 4 } = given
  return {
    type: 'run',
    scheduler: 'euler',
    guidance: 3,
    kind: 'full',
    index,
    prompt: `<b>picture ${index}</b>, "quoted"`,
    seed: index,
    method,
    policy: method.split(':')[0],
    is_default: !method.includes(':'),
    options: {},
    steps,
    nfe: 2,
    flops: 20,
    baseline_flops: 40,
    wall_ms: 50,
    baseline_wall_ms: 100,
    loop_ms: 50,
    baseline_loop_ms: 100,
    psnr_db: psnr,
    ssim: 0.9,
    actions: 'RERE'.slice(0, steps),
    shares: [1, 0, 1, 0].slice(0, steps),
    load_average: 1,
    ...given,
  }
}

export const contentOf = (runs: readonly Run[]) => ({
  sessions: [session],
  runs: new Map(runs.map((each) => [keyOf(each), each])),
  missing: [],
})
const options = { created: '2026-01-02T03:04:05.000Z' }
export const table = (runs: readonly Run[], more = {}): TableResult => ({
  ...assemble(contentOf(runs), { ...options, ...more }),
  metrics: {},
})
