import { mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { BenchProgress, Generate } from '../../ts/bench/settings.ts'
import { Journal, readJournals, type Run, type Session } from '../../ts/bench/table1/journal.ts'
import { methodFor } from '../../ts/bench/table1/methods.ts'
import { runTable } from '../../ts/bench/table1/run.ts'
import type { TableSettings } from '../../ts/bench/table1/settings.ts'
import { SadaError } from '../../ts/errors.ts'
import { ofPlan } from '../../ts/bench/model.ts'
import type { Manifest } from '../../ts/plan/manifest.ts'
import type { MemberStep } from '../../ts/sampler/trace.ts'
import { tmpdir } from 'node:os'
import { session as finished } from '../support/table1.ts'
import type { PolicyName } from '../../ts/policy/spec.ts'

const SIZE = 12
const model = ofPlan({
  name: 'fake',
  schedulers: { euler: { _class_name: 'EulerDiscreteScheduler' } },
  text: { bytes: 1 },
  latents: [3, SIZE, SIZE],
  output: { kind: 'image', range: [-1, 1] },
  tokens: { grid: [2, 2], patch: [6, 6] },
  stages: [{ kind: 'tokens', flops: { fixed: 10, per_token: 0, per_token_pair: 0 } }],
} as unknown as Manifest)

interface Call {
  readonly policy: string
  readonly steps: number
  readonly seed: number
}

/** Every other step of an accelerated run is skipped, and shows in the sample; `needy` lacks something, `uneven` skips more of odd seeds. */
function fakePipeline(calls: Call[]): Generate {
  return ({ prompt, seed, steps = 1, policy, scheduler, guidanceScale = 1, signal, onStep }) => {
    signal?.throwIfAborted()
    const name = typeof policy === 'string' ? policy : policy!.name
    if (name === 'needy') return Promise.reject(new SadaError('UNSUPPORTED', 'It needs stages.'))
    onStep?.({} as never)
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    const [first] = seed as readonly number[]
    calls.push({ policy: name, steps, seed: first })
    const each = Array.from({ length: steps }, (_, step): MemberStep => ({
      step,
      timestep: 0,
      action: name === 'none' || step % (name === 'uneven' && first % 2 === 1 ? 4 : 2) === 0 ? 'run' : 'reuse',
      ms: 1,
    }))
    const nfe = each.filter(({ action }) => action === 'run').length
    const latents = new Float32Array(3 * SIZE * SIZE).fill((first % 7) / 10 + (name === 'none' ? 0 : 0.01) + (8 - steps) / 100)
    const trace = {
      scheduler: scheduler as string,
      policy: name,
      options: {},
      steps,
      guidance: guidanceScale,
      members: [{ steps: each, nfe }],
      ms: nfe,
      overheadMs: 0,
    }
    assert.is((prompt as readonly string[]).length, 1)
    return Promise.resolve({ images: [], audio: [], latents, trace, unknownWords: [], droppedTokens: [] })
  }
}

const settings: TableSettings = {
  model,
  schedulers: ['euler', 'dpm++'],
  guidances: [1, 3],
  methods: ['sada', 'every-n', 'needy'].map((name) => ({ ...methodFor(name), spec: name as PolicyName })),
  prompts: [4, 5, 6].map((index) => ({ index, kind: index % 2 === 0 ? 'full' : 'short', prompt: `picture ${index}` })),
  steps: 8,
  seed: 100,
  timingOnly: false,
  plainBy: 'flops',
}
const session: Session = { ...finished, steps: 8, seed: 100 }
const silent: BenchProgress = { start() {}, note() {}, advance() {} }

/** Runs a table on a journal until `most` runs were written. */
async function runOn(path: string, calls: Call[], most = Infinity, given: Partial<TableSettings> = {}): Promise<unknown> {
  const known = await readJournals([path]).catch(() => undefined)
  const journal = await Journal.open(path)
  if (known === undefined) await journal.add(session)
  const ending = new AbortController()
  let written = 0
  const store = {
    journal,
    runs: new Map(known?.runs),
    missing: [...(known?.missing ?? [])],
    keep: (): Promise<void> => {
      if (++written === most) ending.abort(new Error('enough'))
      return Promise.resolve()
    },
  }
  try {
    await runTable(fakePipeline(calls), { ...settings, ...given }, store, silent, ending.signal)
    return undefined
  } catch (error) {
    return error
  } finally {
    await journal.close()
  }
}

const freshPath = (): string => join(mkdtempSync(join(tmpdir(), 'table1-')), 'runs.jsonl')
const runsIn = async (path: string): Promise<Run[]> => [...(await readJournals([path])).runs.values()]
const names = (runs: readonly Run[]): string[] =>
  runs.map(({ scheduler, guidance, index, method, steps }) => [scheduler, guidance, index, method, steps].join(' ')).sort()

test('every method runs on every prompt, solver and guidance, beside the plain run of as many operations, each once', async () => {
  const path = freshPath()
  assert.is(await runOn(path, []), undefined)
  const runs = await runsIn(path)
  // Half of the operations are 4 of 8 steps, for both methods: one plain run for both.
  const expected = ['euler', 'dpm++'].flatMap((scheduler) =>
    [1, 3].flatMap((guidance) =>
      [4, 5, 6].flatMap((index) =>
        ['sada 8', 'every-n 8', 'none 8', 'none 4'].map((method) => `${scheduler} ${guidance} ${index} ${method}`),
      ),
    ),
  )
  assert.equal(names(runs), expected.sort())
  assert.is(readFileSync(path, 'utf8').trimEnd().split('\n').length, expected.length + 5) // the session, and one line for each `needy`
  const { missing } = await readJournals([path])
  assert.equal([...new Set(missing.map(({ method, reason }) => `${method}: ${reason}`))], ['needy: It needs stages.'])
  const [first] = runs.filter(({ method, guidance }) => method === 'sada' && guidance === 3)
  assert.equal([first.seed, first.nfe, first.flops, first.baseline_flops, first.actions], [104, 4, 80, 160, 'RURURURU'])
  // An offset of 0.01 everywhere: 10·log10(4 / 10⁻⁴).
  assert.ok(Math.abs(first.psnr_db! - 46.0206) < 1e-3)
  assert.is(runs.find(({ method, steps }) => method === 'none' && steps === 8)!.psnr_db, null)
})

test('a run that is ended loses one item at most, and goes on where it was', async () => {
  const whole = freshPath()
  await runOn(whole, [])
  for (const most of [1, 2, 7, 20]) {
    const path = freshPath()
    assert.match(String(await runOn(path, [], most)), 'enough')
    const before = await runsIn(path)
    assert.ok(before.length >= most - 1 && before.length <= most, `${before.length} of ${most}`)
    const calls: Call[] = []
    await runOn(path, calls)
    assert.equal(names(await runsIn(path)), names(await runsIn(whole)))
    const made = calls.filter(({ policy, steps }) => policy !== 'none' && steps === 8).length
    const had = before.filter(({ method }) => method !== 'none').length
    assert.is(made, 24 - had)
    const again: Call[] = []
    await runOn(path, again)
    assert.equal(new Set(again.map(({ steps }) => steps)), new Set([6])) // only the warm-up
  }
})

test('methods take turns in being first, and have the same prompts whenever it ends', async () => {
  const path = freshPath()
  await runOn(path, [], 22, { schedulers: ['euler'], guidances: [3] })
  const runs = (await runsIn(path)).filter(({ method }) => method !== 'none')
  assert.equal(
    runs.map(({ index, method }) => `${index} ${method}`),
    ['4 sada', '4 every-n', '5 every-n', '5 sada', '6 sada', '6 every-n'],
  )
})

test('plain runs cost what a method costs on prompts of their own kind', async () => {
  const path = freshPath()
  const methods = [{ ...methodFor('sada'), label: 'uneven', spec: 'uneven' as PolicyName }]
  assert.is(await runOn(path, [], Infinity, { schedulers: ['euler'], guidances: [3], methods }), undefined)
  const plain = (await runsIn(path)).filter(({ method, steps }) => method === 'none' && steps < 8)
  assert.equal(
    plain.map(({ kind, index, steps }) => `${kind} ${index} ${steps}`).sort(),
    ['full 4 4', 'full 6 4', 'short 5 2'], // half of the operations of full prompts, a quarter of short ones
  )
})

test('for times alone each method stands directly after a baseline of its own, and no plain runs are made', async () => {
  const calls: Call[] = []
  await runOn(freshPath(), calls, Infinity, { timingOnly: true, schedulers: ['euler'], guidances: [3] })
  assert.equal(
    calls.filter(({ steps }) => steps === 8).map(({ policy, seed }) => `${seed} ${policy}`),
    [104, 105, 106].flatMap((seed, k) => {
      const order = k % 2 === 0 ? ['sada', 'every-n'] : ['every-n', 'sada']
      return order.flatMap((policy) => [`${seed} none`, `${seed} ${policy}`])
    }),
  )
})

test.run()
