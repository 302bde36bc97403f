import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { createColors } from 'picocolors'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SCHEMA_FILE, benchSchema } from '../../scripts/bench-schema.ts'
import { measure } from '../../ts/bench/bench.ts'
import { filePrompts } from '../../ts/bench/prompts.ts'
import { equalRunsSchedule } from '../../ts/bench/rivals.ts'
import { headline } from '../../ts/bench/report/headline.ts'
import { reportPage } from '../../ts/bench/report/page.ts'
import type { Generate } from '../../ts/bench/settings.ts'
import { figuresTable } from '../../ts/bench/report/table.ts'
import { benchTable, plainLabel } from '../../ts/bench/table.ts'
import type { SadaError } from '../../ts/errors.ts'
import { sample } from '../../ts/sampler/sample.ts'
import { fakePipeline, model, resultOf, settings, silent, type Call } from '../support/bench.ts'
import { emptyFolder } from '../support/spawn.ts'

test('a case says what ran, what it cost and how close it is, by kind of prompt too', async () => {
  const [{ figures }] = await measure(fakePipeline(), settings, new AbortController().signal, silent)
  assert.equal(figures.nfe, { mean: 15, min: 15, max: 15 })
  assert.equal(figures.kept_tokens, { mean: 2, of: 4, pruned_passes: 5 })
  assert.is(figures.flops.baseline, 2 * 20 * (10 + 20 + 16))
  assert.is(figures.flops.accelerated, 2 * (10 * 46 + 5 * (10 + 10 + 4)))
  assert.is(figures.speedup.nfe, 20 / 15)
  assert.is(figures.fewer_steps.steps, 15, 'fifteen of twenty steps fit into three quarters of the time')
  assert.is(figures.overhead_us_per_step, 50)
  assert.is(figures.decisions.length, 4)
  assert.is(figures.decisions[0].length, 20)
  assert.equal(Object.keys(figures.fidelity_by_kind), ['full', 'short'])
  assert.equal(
    figures.comparisons.map(({ name }) => name),
    ['fixed-schedule', 'pruning-off'],
  )
  assert.equal(
    figures.pictures.map(({ seed }) => seed),
    [0, 1, 2, 3],
  )
  assert.is(figures.fidelity.identical, 2, 'the pictures of the first call are equal')
  assert.ok(Math.abs(figures.fidelity.psnr_db.mean! - 10 * Math.log10(4 / 0.02 ** 2)) < 0.01)
})

test('the fixed schedule of equal runs takes no more than the policy on average, rounded up; where every step ran there is none', async () => {
  for (const [nfe, most] of [
    [[20, 21], 21],
    [[49], 49],
    [[8], 8],
  ] as const) {
    const spec = equalRunsSchedule(
      nfe.map((runs) => ({ nfe: runs })),
      50,
    )
    const { trace } = await sample({
      scheduler: { _class_name: 'EulerDiscreteScheduler' },
      steps: 50,
      shape: [1, 1, 2, 2],
      seed: 0,
      policy: spec,
      network: ({ sample }) => sample.slice(),
    })
    assert.ok(trace.members[0].nfe <= most && trace.members[0].nfe >= most - 2, `${trace.members[0].nfe} runs of ${most}`)
  }
  assert.is(equalRunsSchedule([{ nfe: 50 }, { nfe: 50 }], 50), undefined)
})

test('baseline and policies take turns on the same pictures, each first as often', async () => {
  const calls: Call[] = []
  await measure(
    fakePipeline(calls),
    { ...settings, schedulers: ['euler'], policies: ['sada'], quick: true },
    new AbortController().signal,
    silent,
  )
  const told = calls.map(({ policy, seeds }) => `${policy} ${seeds.join('+')}`)
  assert.equal(told.slice(0, 2), ['none 0+1', 'sada 0+1'], 'warm-up')
  assert.equal(told.slice(2, 6), ['none 0+1', 'sada 0+1', 'sada 2+3', 'none 2+3'])
  assert.equal(told.slice(6), ['none 0+1', 'none 2+3'], 'as many plain steps as fit, same seeds')
})

test('an aborted run rejects with the reason', async () => {
  const controller = new AbortController()
  const calls: Call[] = []
  const generate: Generate = async (options) => {
    if (calls.length === 5) controller.abort(new Error('enough'))
    return fakePipeline(calls)(options)
  }
  const error = await measure(generate, settings, controller.signal, silent).catch((reason: Error) => reason)
  assert.is((error as Error).message, 'enough')
})

test('the published schema is that of the types, and a result fits it', async () => {
  assert.is(readFileSync(SCHEMA_FILE, 'utf8'), benchSchema(), 'run: npx tsx scripts/bench-schema.ts')
  const validate = new Ajv({ allErrors: true, strict: true }).compile(JSON.parse(benchSchema()))
  const result = resultOf(await measure(fakePipeline(), settings, new AbortController().signal, silent))
  assert.ok(validate(JSON.parse(JSON.stringify(result))), JSON.stringify(validate.errors))
  assert.not.ok(validate({ ...result, cases: [{ ...result.cases[0], wall_ms: undefined }] }))
})

test('the report is one file that reaches for nothing else, escapes what it is told, and gives strips in words', async () => {
  const cases = await measure(fakePipeline(), settings, new AbortController().signal, silent)
  const page = await reportPage(resultOf(cases), cases, model)
  assert.match(page, /^<!doctype html>/)
  assert.not.match(page, /(src|href)="(?!data:image\/png;base64,|#)/)
  assert.not.match(page, /https?:|url\(|@import|<script|<link/)
  assert.not.match(page, '<b>"')
  assert.match(page, '&#60;b&#62;&#34;0&#34; &#38; more&#60;/b&#62;')
  assert.match(page, /aria-label="Steps 1 run, 2 prune, 3 run, 4 extrapolate/)
  assert.match(page, 'The machine was busy in the minute before')
  assert.not.match(page, /NaN|undefined|Infinity|null/)
})

test('what stands in brackets in the headline compares the same pictures, equal ones as 150 dB on both sides', async () => {
  const [measured] = await measure(fakePipeline(), settings, new AbortController().signal, silent)
  const { speedup, fewer_steps: fewer } = measured.figures
  const sameTime = { speedup: { ...speedup, wall: 2 }, fewer_steps: { ...fewer, speedup_wall: 2 } }
  const tileOf = (pairs: readonly (readonly [number | null, number | null])[]): string => {
    const pictures = pairs.map(([psnr, plain]) => ({
      ...measured.figures.pictures[0],
      kind: 'full',
      psnr_db: psnr,
      fewer_steps_psnr_db: plain,
    }))
    return headline([{ ...measured.figures, ...sameTime, pictures }]).text
  }
  // Equal where plain steps have 70 dB, 40 dB where they have 30: left out on one side it would have been 40 − 50.
  assert.match(
    tileOf([
      [null, 70],
      [40, 30],
    ]),
    /\(\+45\.0\)/,
  )
  assert.match(tileOf([[null, null]]), /\(\+0\.0\)/)
  assert.match(tileOf([[60, null]]), /\(−90\.0\)/)
})

test('plain steps that took a twentieth more or less are not called of the same time', async () => {
  const [{ figures }] = await measure(fakePipeline(), settings, new AbortController().signal, silent)
  const timed = (policy: number, plain: number) => ({
    ...figures,
    speedup: { ...figures.speedup, wall: policy },
    fewer_steps: { ...figures.fewer_steps, speedup_wall: plain },
  })
  assert.is(plainLabel(timed(2, 2.08)), 'plain 15 steps: same time')
  assert.is(plainLabel(timed(2.2, 2)), 'plain 15 steps: meant to take as long, took 10 % more')
  assert.is(plainLabel(timed(2, 2.5)), 'plain 15 steps: not comparable, took 20 % less')
  assert.is(plainLabel(timed(2.4, 2)), 'plain 15 steps: not comparable, took 20 % more')
  assert.match(headline([timed(2, 2.08)]).text, /steps, which take the same time;/)
  assert.match(headline([timed(2.2, 2)]).text, /which are meant to take as long and took 10 % more;/)
  assert.match(figuresTable([timed(2.2, 2)]).text, /plain 15 steps: meant to take as long, took 10 % more/)
})

test('where plain steps took more than 15 % more or less, the table and the report say to run again, and where', async () => {
  const cases = await measure(fakePipeline(), settings, new AbortController().signal, silent)
  const [{ figures }] = cases
  const textsOf = (policy: number, plain: number, steps = 15): string[] => {
    const fewer = { ...figures.fewer_steps, speedup_wall: plain, steps }
    const off = { ...figures, speedup: { ...figures.speedup, wall: policy }, fewer_steps: fewer }
    return [benchTable({ ...resultOf(cases), cases: [off] }, createColors(false)), headline([off]).text]
  }
  for (const text of textsOf(3.14, 2))
    assert.match(
      text,
      '15 plain steps were meant to take as long and took 57 % more: not comparable. Run it again on a quiet machine.',
    )
  // One of three steps is a third of the time.
  for (const text of textsOf(2, 2.5, 3)) assert.match(text, /took 20 % less: not comparable\. Run it again with more steps/)
  for (const text of textsOf(2, 2.5)) assert.match(text, /took 20 % less: not comparable\. Run it again on a quiet machine/)
  for (const text of textsOf(2.2, 2)) assert.not.match(text, 'comparable')
  // Decibels above what is not comparable would be no comparison.
  const [, told] = textsOf(3.14, 2)
  const [, compared] = textsOf(2.2, 2)
  assert.not.match(told, /In brackets|\([+−]/)
  assert.match(compared, /In brackets/)
  assert.match(compared, /\([+−]\d/)
})

test('the table shows what a terminal would act on, and counts one picture as one', async () => {
  const cases = await measure(fakePipeline(), settings, new AbortController().signal, silent)
  const result = resultOf(cases)
  const [first] = result.cases
  const hostile = { ...result, model: { ...result.model, name: 'a\x1b]0;title\x07' }, cases: [{ ...first, samples: 1 }] }
  assert.match(benchTable(hostile, createColors(false)), /^a\ufffd\]0;title\ufffd: 20 steps, guidance 3, 1 picture of each,/)
})

test('two cases of one policy are told apart by their settings', async () => {
  const settingsOf = [3, 4].map((n) => ({ name: 'every-n', n }) as const)
  const cases = await measure(fakePipeline(), { ...settings, policies: settingsOf }, new AbortController().signal, silent)
  const [first, second] = cases.map(({ figures }) => figures)
  assert.equal([first.policy, first.method, second.method], ['every-n', 'every-n:n=3', 'every-n:n=4'])
  const long = { ...first, method: `magcache:ratios=${'1x'.repeat(99)}1` }
  const result = { ...resultOf(cases), cases: [first, second, long] }
  for (const text of [benchTable(result, createColors(false)), headline(result.cases).text, figuresTable(result.cases).text])
    for (const name of ['every-n:n=3', 'every-n:n=4', 'magcache:ratios=1x1x1x1x1x1x1x1x1x1x1x1…']) assert.match(text, name)
})

test('the table has a row for each way to make the pictures', async () => {
  const cases = await measure(fakePipeline(), settings, new AbortController().signal, silent)
  const table = benchTable(resultOf(cases), createColors(false))
  for (const row of ['unaccelerated', 'sada', 'every-n:n=2', 'plain 15 steps', 'fixed, every', 'sada without pruning'])
    assert.match(table, row)
  assert.not.match(table, /NaN|undefined|\x1b/)
})

test('the table fits into the columns of a terminal, without what matters least', async () => {
  const cases = await measure(fakePipeline(), settings, new AbortController().signal, silent)
  const off = cases.map(({ figures }) => ({
    ...figures,
    speedup: { ...figures.speedup, wall: 2.2 },
    fewer_steps: { ...figures.fewer_steps, speedup_wall: 2 },
  }))
  const textAt = (width?: number): string => benchTable({ ...resultOf(cases), cases: off }, createColors(false), width)
  const widest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length))
  for (const width of [60, 80, 100, 120]) assert.ok(widest(textAt(width)) <= width, `${widest(textAt(width))} of ${width}`)
  assert.match(textAt(), /5 %–95 % +FLOPs/)
  assert.not.match(textAt(80), '5 %–95 %')
  assert.not.match(textAt(60), 'FLOPs')
  assert.match(textAt(60), / speed-up +full +worst +short +worst/)
  // What a row has to say beside its figures makes no column wide.
  for (const text of [textAt(80), textAt()]) assert.match(text, /\nplain 15 steps: meant to take as long, took 10 % more\n/)
})

test('prompts come from lines, from a JSON array, or from an object by kind whose kinds take turns', async () => {
  const path = join(emptyFolder(), 'prompts')
  const read = async (text: string, samples: number) => {
    writeFileSync(path, text)
    return (await filePrompts(path, samples)).map(({ kind, prompt }) => `${kind} ${prompt}`)
  }
  assert.equal(await read('# no\na kid\r\n\n a robot \n', 3), ['given a kid', 'given a robot', 'given a kid'])
  assert.equal(await read('["x"]', 2), ['given x', 'given x'])
  assert.equal(await read('\ufeff["x"]', 1), ['given x'])
  assert.equal(await read('\ufeffa kid\n', 1), ['given a kid'])
  assert.equal(await read('{"full":["f1","f2"],"short":["s"]}', 4), ['full f1', 'short s', 'full f2', 'short s'])
  for (const bad of ['', '# only\n', '[1]', '{"a":"b"}', '[', '{"a":[]}']) {
    const error = await read(bad, 1).catch((reason: unknown) => reason)
    assert.is((error as SadaError).code, 'INVALID_ARGUMENT', bad)
  }
  writeFileSync(path, '\ufeffa kid', 'utf16le')
  assert.match(String(await filePrompts(path, 1).catch((reason: unknown) => reason)), /it is not text in UTF-8; save it as such/)
})

test.run()
