import type { JournalContent, Run } from '../bench/table1/journal.ts'
import { methodFor, withSweeps } from '../bench/table1/methods.ts'
import { invalidArgument, inWords, unknownName } from '../errors.ts'
import type { PolicySpec } from '../policy/index.ts'

/** The options of `sada-bench table1` that say what is run, or of what is reported. */
export interface Table1Choice {
  readonly scheduler?: readonly string[]
  readonly guidance?: readonly number[]
  readonly policy?: readonly PolicySpec[]
  readonly sweep?: boolean
  readonly kind?: readonly string[]
  readonly samples: number
  readonly reportOnly: boolean
  readonly timingOnly: boolean
  readonly coco?: string
  /** Names of the options that were written on the command line, as the parser knows them. */
  readonly given?: ReadonlySet<string>
}

/** What would change nothing, with what makes it so. */
const WITHOUT_EFFECT: readonly [by: keyof typeof OPTION, without: Readonly<Record<string, string>>][] = [
  [
    'reportOnly',
    {
      timingOnly: '--timing-only',
      sweep: '--sweep',
      coco: '--coco',
      prompts: '--prompts',
      slice: '--slice',
      control: '--control',
      controlStrength: '--control-strength',
      controlStart: '--control-start',
      controlEnd: '--control-end',
      device: '--device',
      engine: '--engine',
    },
  ],
  ['timingOnly', { timing: '--timing', plainBy: '--plain-by', weights: '--weights' }],
  ['coco', { prompts: '--prompts', kind: '--kind' }],
]
const OPTION = { reportOnly: '--report-only', timingOnly: '--timing-only', coco: '--coco' } as const

/** Refuses options that another one leaves without an effect. Throws INVALID_ARGUMENT. */
export function checkEffects(options: Table1Choice): void {
  for (const [by, without] of WITHOUT_EFFECT) {
    const name = options[by] ? Object.keys(without).find((each) => options.given?.has(each)) : undefined
    if (name !== undefined)
      throw invalidArgument(
        without[name],
        `left out with ${OPTION[by]}, which it has no effect on`,
        inWords('it'),
        'Leave one of them out.',
      )
  }
}

/**
 * Of finished runs, and of what could not be run, what is asked for; plain runs and the baseline stand beside any policy. Throws where a report
 * alone asks for what no run is of; what was asked of runs that were just made may be among what could not be.
 */
export function chosenRuns(content: JournalContent, options: Table1Choice): JournalContent {
  const { given, reportOnly } = options
  const labels = labelsOf(options)
  const tests: readonly [option: string, asked: readonly (string | number)[] | undefined, of: (run: Run) => string | number][] = [
    ['scheduler', options.scheduler, (run) => run.scheduler],
    ['guidance', options.guidance, (run) => run.guidance],
    ['kind of prompt', options.kind, (run) => run.kind],
    ['policy', labels, (run) => run.method],
  ]
  let runs = [...content.runs.values()]
  for (const [option, asked, of] of tests) {
    if (asked === undefined || asked.length === 0) continue
    const present = [...new Set(runs.map(of))]
    const unknown = asked.find((each) => !present.includes(each))
    if (unknown !== undefined && reportOnly) throw unknownName(option, String(unknown), present.map(String))
    runs = runs.filter((run) => asked.includes(of(run)) || (option === 'policy' && run.method === 'none'))
  }
  if (given?.has('samples')) runs = firstOf(runs, options)
  // A slice may have none of the first prompts.
  if (runs.length === 0 && reportOnly)
    throw invalidArgument('--samples', 'so many that a finished run is among them', options.samples)
  const kept = new Set(runs)
  const isAsked = <T>(asked: readonly T[] | undefined, value: T): boolean => !asked?.length || asked.includes(value)
  const missing = content.missing.filter(
    ({ scheduler, guidance, method }) =>
      isAsked(options.scheduler, scheduler) && isAsked(options.guidance, guidance) && isAsked(labels, method),
  )
  return { ...content, runs: new Map([...content.runs].filter(([, run]) => kept.has(run))), missing }
}

function labelsOf({ policy, sweep = false }: Table1Choice): string[] | undefined {
  const methods = policy?.map(methodFor)
  return (methods && sweep ? withSweeps(methods) : methods)?.map(({ label }) => label)
}

/** The prompts that so many samples would be: the first of all, or of the kinds that are asked for. */
function firstOf(runs: readonly Run[], { kind, samples }: Table1Choice): Run[] {
  if (kind === undefined) return runs.filter(({ index }) => index < samples)
  const indices = [...new Set(runs.map(({ index }) => index))].sort((a, b) => a - b).slice(0, samples)
  return runs.filter(({ index }) => indices.includes(index))
}
