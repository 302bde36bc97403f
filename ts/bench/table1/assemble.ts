import type { TableResult, TableRow, PlainRow, Published } from './result.ts'
import { askedTexts, type JournalContent, type Missing, type Run, type Session, type Terms } from './journal.ts'
import { summariseDecibels } from '../decibels.ts'
import { greatest, least, mean, median, spread } from '../statistics.ts'
import { plainStepsOf, type PlainBy } from './plain.ts'

export interface AssembleOptions {
  readonly created: string
  /** Another journal whose wall times are to be believed. */
  readonly timing?: JournalContent
  readonly published?: Readonly<Record<string, readonly Published[]>>
  /** What plain runs are matched by. Default: time. */
  readonly plainBy?: PlainBy
  /** Worst cases of each row. Default 3. */
  readonly worst?: number
}

/** A table before its metrics. */
export type Assembled = Omit<TableResult, 'metrics'>

/** One row's runs, and the plain ones that stand beside them. */
export interface Group {
  readonly scheduler: string
  readonly guidance: number
  readonly kind: string
  readonly method: string
  readonly runs: readonly Run[]
}

/** Everything that follows from finished runs. Journals without a run give an empty table. */
export function assemble({ sessions, runs, missing }: JournalContent, options: AssembleOptions): Assembled {
  const all = [...runs.values()]
  const {
    model,
    steps,
    seed,
    picture = {},
    device,
    note,
  }: Terms & Pick<Session, 'note'> = sessions.at(0) ?? { model: '', steps: 1, seed: 0 }
  const groups = groupsOf(all.filter((run) => run.method !== 'none'))
  const loads = all.map(({ load_average: load }) => load)
  const load = loads.length > 0 ? { p50: median(loads), max: greatest(loads) } : { p50: 0, max: 0 }
  const isBusy = load.p50 > greatest(sessions.map(({ machine }) => machine.cores)) / 2
  const rows = groups.map((group) => describe(group, steps, all, isBusy, options))
  return {
    schema: 'sada-table1/1',
    created: options.created,
    model,
    steps,
    seed,
    ...(askedTexts(picture).length > 0 && { picture }),
    ...(device !== undefined && { device }),
    ...(note !== undefined && { note }),
    plain_by: options.plainBy ?? 'time',
    sessions: [...sessions, ...(options.timing?.sessions ?? [])].map(({ created, machine, versions }) => ({
      created,
      cpu: machine.cpu,
      cores: machine.cores,
      load_average: machine.load_average,
      sada: versions.sada,
      commit: versions.commit,
    })),
    load,
    missing: stillMissing(missing, groups),
    rows: rows.map((row) => ({ ...row, pareto: paretoOf(row, rows) })),
    plain: plainRows(all, steps),
  }
}

/** What could not be run, and was not since: a journal that another version went on with may have runs of what an earlier one could not. */
function stillMissing(missing: readonly Missing[], groups: readonly Group[]): TableResult['missing'] {
  const isOf = (a: Missing, b: Group): boolean =>
    a.scheduler === b.scheduler && a.guidance === b.guidance && a.method === b.method
  return missing
    .filter((each) => !groups.some((group) => isOf(each, group)))
    .map(({ scheduler, guidance, method, reason }) => ({ scheduler, guidance, method, reason }))
}

/** Runs by scheduler, guidance, kind and method, in the order in which they were first made. */
export function groupsOf(runs: readonly Run[]): Group[] {
  const groups = new Map<string, Run[]>()
  for (const run of runs) {
    const key = [run.scheduler, run.guidance, run.kind, run.method].join('|')
    groups.set(key, [...(groups.get(key) ?? []), run])
  }
  return [...groups.values()].map((each) => {
    const [{ scheduler, guidance, kind, method }] = each
    return { scheduler, guidance, kind, method, runs: each.sort((a, b) => a.index - b.index) }
  })
}

type Close = Pick<Run, 'psnr_db' | 'ssim'>

function closenessOf(runs: readonly Close[]): Pick<TableRow, 'psnr_db' | 'identical' | 'ssim'> {
  const similar = runs.flatMap(({ ssim }) => ssim ?? [])
  return {
    psnr_db: summariseDecibels(runs.map(({ psnr_db: psnr }) => psnr)),
    identical: runs.filter(({ psnr_db: psnr }) => psnr === null).length,
    // Of some of the pictures it would stand beside figures of all.
    ...(similar.length === runs.length && { ssim: { mean: mean(similar), worst: least(similar) } }),
  }
}

/** The tails of fewer pairs are their extremes. */
const FEWEST_WITH_TAILS = 20

const timesOf = (values: readonly number[]): TableRow['speedup'] =>
  values.length < FEWEST_WITH_TAILS ? { p05: null, p50: median(values), p95: null } : spread(values)

function describe(group: Group, steps: number, all: readonly Run[], isBusy: boolean, options: AssembleOptions): TableRow {
  const { scheduler, guidance, kind, method, runs } = group
  const [first] = runs
  const separate = [...(options.timing?.runs.values() ?? [])].filter(
    (run) => run.scheduler === scheduler && run.guidance === guidance && run.kind === kind && run.method === method,
  )
  const timed = separate.length > 0 ? separate : runs
  const plainBy = options.plainBy ?? 'time'
  const nfe = runs.map((run) => run.nfe)
  const flops = { baseline: mean(runs.map((run) => run.baseline_flops)), accelerated: mean(runs.map((run) => run.flops)) }
  // Operations need no machine of their own: all pictures say them better than the few that were timed.
  const plainSteps = plainStepsOf(plainBy === 'time' ? timed : runs, plainBy, steps)
  const plainRuns = new Map(
    all
      .filter(
        (run) =>
          run.method === 'none' &&
          run.steps === plainSteps &&
          run.scheduler === scheduler &&
          run.guidance === guidance &&
          run.kind === kind,
      )
      .map((run) => [run.index, run]),
  )
  return {
    scheduler,
    guidance,
    kind,
    method,
    policy: first.policy,
    is_default: first.is_default,
    options: first.options,
    samples: runs.length,
    nfe: { mean: mean(nfe), min: least(nfe), max: greatest(nfe) },
    nfe_ratio: steps / mean(nfe),
    flops: { ...flops, ratio: flops.baseline / flops.accelerated },
    wall_ms: timesOf(timed.map((run) => run.wall_ms)),
    baseline_wall_ms: timesOf(timed.map((run) => run.baseline_wall_ms)),
    speedup: timesOf(timed.map((run) => run.baseline_wall_ms / run.wall_ms)),
    timing: {
      source: separate.length > 0 ? 'separate' : 'runs',
      reliable: separate.length > 0 || !isBusy,
      pairs: timed.length,
      load: median(timed.map((run) => run.load_average)),
    },
    ...closenessOf(runs),
    metrics: {},
    pareto: { wall: false, nfe: false },
    plain: plainOf(runs, plainRuns, plainSteps),
    published: [...(options.published?.[first.policy] ?? [])],
    decisions: Array.from({ length: first.actions.length }, (_, step) => lettersAt(runs, step)),
    worst: worstOf(runs, plainRuns, options.worst ?? 3),
    warnings: [...new Set(runs.flatMap((run) => run.warnings ?? []))],
  }
}

function plainOf(runs: readonly Run[], plainRuns: ReadonlyMap<number, Run>, steps: number): TableRow['plain'] {
  const pairs = runs.flatMap((run): [Run, Run][] => {
    const plain = plainRuns.get(run.index)
    return plain === undefined ? [] : [[run, plain]]
  })
  if (pairs.length === 0) return null
  const [own, theirs] = [0, 1].map((k) => closenessOf(pairs.map((pair) => pair[k])))
  return {
    steps,
    samples: pairs.length,
    ...theirs,
    gain_db: {
      mean: own.psnr_db.mean - theirs.psnr_db.mean,
      worst_decile: own.psnr_db.worst_decile - theirs.psnr_db.worst_decile,
    },
  }
}

function lettersAt(runs: readonly Run[], step: number): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { actions } of runs) counts[actions[step]] = (counts[actions[step]] ?? 0) + 1
  return Object.fromEntries(Object.entries(counts).map(([letter, n]) => [letter, n / runs.length]))
}

function worstOf(runs: readonly Run[], plainRuns: ReadonlyMap<number, Run>, most: number): TableRow['worst'] {
  return runs
    .flatMap((run) => (run.psnr_db === null ? [] : [{ run, psnr: run.psnr_db }]))
    .sort((a, b) => a.psnr - b.psnr)
    .slice(0, most)
    .map(({ run, psnr }) => ({
      index: run.index,
      prompt: run.prompt,
      seed: run.seed,
      psnr_db: psnr,
      ...(run.ssim !== undefined && { ssim: run.ssim }),
      nfe: run.nfe,
      plain_psnr_db: plainRuns.get(run.index)?.psnr_db ?? null,
      actions: run.actions,
      shares: run.shares,
    }))
}

/** A plain run per number of steps, for the plots. */
function plainRows(all: readonly Run[], steps: number): PlainRow[] {
  const bySteps = new Map<string, Run[]>()
  for (const run of all) {
    if (run.method !== 'none' || run.steps === steps) continue
    const key = [run.scheduler, run.guidance, run.kind, run.steps].join('|')
    bySteps.set(key, [...(bySteps.get(key) ?? []), run])
  }
  return [...bySteps.values()]
    .map((runs) => ({
      scheduler: runs[0].scheduler,
      guidance: runs[0].guidance,
      kind: runs[0].kind,
      steps: runs[0].steps,
      samples: runs.length,
      speedup: timesOf(runs.map((run) => run.baseline_wall_ms / run.wall_ms)),
      ...closenessOf(runs),
    }))
    .sort((a, b) => a.steps - b.steps)
}

const sameGroup = (a: Pick<TableRow, 'scheduler' | 'guidance' | 'kind'>, b: typeof a): boolean =>
  a.scheduler === b.scheduler && a.guidance === b.guidance && a.kind === b.kind

/** Rows of one scheduler, guidance and kind. */
export const rowsLike = <T extends Pick<TableRow, 'scheduler' | 'guidance' | 'kind'>>(
  place: Pick<TableRow, 'scheduler' | 'guidance' | 'kind'>,
  rows: readonly T[],
): T[] => rows.filter((row) => sameGroup(row, place))

/** Whether nothing beats a row in both speed and closeness, among those that can be compared: of as many pictures, and of times that can be relied on. */
function paretoOf(row: TableRow, rows: readonly TableRow[]): TableRow['pareto'] {
  const table = rowsLike(row, rows)
  const most = greatest(table.map(({ samples }) => samples))
  const whole = table.filter(({ samples }) => samples === most)
  const isAhead = (others: readonly TableRow[], speed: (row: TableRow) => number): boolean =>
    others.includes(row) && !others.some((other) => beats(other, row, speed))
  return {
    wall: isAhead(
      whole.filter(({ timing }) => timing.reliable),
      ({ speedup }) => speedup.p50,
    ),
    nfe: isAhead(whole, (each) => each.nfe_ratio),
  }
}

function beats(other: TableRow, row: TableRow, speed: (row: TableRow) => number): boolean {
  const [faster, closer] = [speed(other) - speed(row), other.psnr_db.mean - row.psnr_db.mean]
  return faster >= 0 && closer >= 0 && faster + closer > 0
}
