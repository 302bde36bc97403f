import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { measure, type MeasuredCase } from '../../ts/bench/bench.ts'
import { stepTicks } from '../../ts/bench/report/chart.ts'
import { closenessPlot } from '../../ts/bench/report/plots.ts'
import { reportPage } from '../../ts/bench/report/page.ts'
import type { BenchResult } from '../../ts/bench/result.ts'
import { STYLE } from '../../ts/bench/report/style.ts'
import { markdown } from '../../ts/bench/table1/markdown.ts'
import type { TableResult } from '../../ts/bench/table1/result.ts'
import { Pictures } from '../../ts/bench/table1/pictures.ts'
import { tablePage } from '../../ts/bench/table1/page.ts'
import { fakePipeline, model, resultOf, settings, silent } from '../support/bench.ts'
import { run, table } from '../support/table1.ts'

const withNote = (result: BenchResult): BenchResult => ({ ...result, model: { ...result.model, note: 'Sounds.' } })
const measured = (): Promise<MeasuredCase[]> => measure(fakePipeline(), settings, new AbortController().signal, silent)

test('a picture whose SSIM would round to 1 is not said to be equal beside it', async () => {
  const [first] = await measured()
  const pictures = first.figures.pictures.map((each, k) => ({ ...each, ssim: [0.99997, 1, 0.99994, 0.5][k] }))
  const cases = [{ ...first, figures: { ...first.figures, pictures } }]
  const page = await reportPage(resultOf(cases), cases, model)
  const shown = [...page.matchAll(/<dt>SSIM<\/dt>\s*<dd>([^<]*)</g)].map(([, text]) => text)
  assert.equal(shown.sort(), ['&#62; 0.9999', '0.5000', '0.9999', '1.0000'])
})

/** What the style sheet says under a condition. */
const under = (condition: string): string => STYLE.slice(STYLE.indexOf(`@media ${condition}`)).split(/\n}|^@media.*} }\n/m)[0]

test('on paper, which does not scroll, tables are whole, and colours that say something are printed', () => {
  const rules = under('print')
  assert.match(rules, /\.scroll { overflow: visible }/)
  assert.match(rules, /\.key, \.swatch, tr\.ours { print-color-adjust: exact }/)
})

test('a row has a name that leaves room for its figures, however long it is and narrow the window; links and prompts break', async () => {
  assert.match(STYLE, /tbody th {[^}]*max-width: 300px; white-space: normal; overflow-wrap: break-word/)
  assert.match(under('(max-width: 520px)'), /tbody th { max-width: 38vw }/)
  assert.match(STYLE, /\.sample h4 {[^}]*overflow-wrap: anywhere/)
  const page = await tablePage(table([run(`magcache:ratios=${'0.9x'.repeat(49)}1`, 0, 30)]), new Pictures([]))
  assert.match(page, /\.strips {[^}]*fit-content\(200px\)[^}]*}\s*\.strips span, \.badge {[^}]*overflow-wrap: anywhere/)
  // Links stand one beside the other without a space, which lines would break at.
  assert.match(page, /nav\.contents a { display: inline-block/)
})

test('labels of the plot of closeness have room in it, whatever a policy and a kind of prompts are called', async () => {
  const [{ figures }] = await measured()
  for (const [policy, kind] of [
    ['sada', 'full'],
    ['teacache/hunyuan-video', 'short'],
    ['every-n', 'prompts of a kind with a name that is a sentence'],
  ]) {
    const plot = closenessPlot({ ...figures, policy, pictures: figures.pictures.map((each) => ({ ...each, kind })) }).text
    const labels = [...plot.matchAll(/<text class="row" x="([\d.]+)"[^>]*>([^<]*)</g)].map(
      ([, x, text]) => [Number(x), text] as const,
    )
    assert.equal(
      labels.map(([, text]) => text.replace(/^.*: /, '')),
      [policy, 'plain 15'],
    )
    // Of the sans-serif faces of the style sheet none is wider than 0.53 em on average: 5.9 of 11 pixels.
    for (const [x, text] of labels) assert.ok(x <= 200 && x - 5.9 * text.length >= -1, `${text} ends at ${x}`)
  }
})

test('the axis of steps names whole ones', () => {
  assert.equal([1, 2, 3, 12, 25, 50].map(stepTicks), [[1], [1, 2], [1, 2, 3], [5, 10], [5, 10, 15, 20, 25], [10, 20, 30, 40, 50]])
  for (let steps = 1; steps <= 1000; steps++) {
    const all = stepTicks(steps)
    assert.ok(
      all.length >= 1 && all.length <= 6 && all.every((step) => Number.isInteger(step) && step >= 1 && step <= steps),
      `${steps}`,
    )
  }
})

test('the worst pictures of a table without our default, or with nothing else, have a heading that is true and something below it', async () => {
  const headings = async (...methods: readonly string[]): Promise<string[]> => {
    const page = await tablePage(table(methods.map((method, k) => run(method, 0, 30 + k))), new Pictures([]))
    assert.not.match(page, /<div class="samples">\s*<\/div>/)
    return [...page.matchAll(/>(The worst [^<]*)</g)].map(([, heading]) => heading)
  }
  assert.equal(await headings('sada', 'every-n'), ['The worst pictures', 'The worst picture of each other policy'])
  assert.equal(await headings('sada'), ['The worst pictures'])
  assert.equal(await headings('every-n', 'easycache'), ['The worst picture of each policy'])
})

test('a table of networks on a GPU says so', async () => {
  const made = table([run('sada', 0, 40)])
  const says = async (result: typeof made) =>
    /Made on A processor, 2 cores([^<]*) by sada/.exec(await tablePage(result, new Pictures([])))![1]
  assert.equal([await says(made), await says({ ...made, device: 'webgpu' })], [',', ', and webgpu,'])
})

test('the line of plain runs joins those of all pictures; those of fewer are faint, and each says of how many it is', async () => {
  const plain = [2, 3].flatMap((steps) => [0, 1].map((k) => run('none', k, 10 * steps, { steps, nfe: steps })))
  const page = await tablePage(
    table([run('sada', 0, 40), run('sada', 1, 50), ...plain, run('none', 1, 90, { steps: 1 })]),
    new Pictures([]),
  )
  const [plot] = page.split('<svg class="chart"').slice(2) // against network runs
  const [, line] = /<path class="line plain" d="M([^"]*)"/.exec(plot)!
  assert.is(line.split('L').length, 2)
  const rings = [...plot.matchAll(/<circle class="(plain[^"]*)"[^>]*><title>([^<]*)</g)].map(([, name, about]) => [name, about])
  assert.equal(
    rings.sort(),
    [
      ['plain few', 'plain 1 steps: 90.0 dB at 4.00×, of 1'],
      ['plain', 'plain 2 steps: 20.0 dB at 2.00×, of 2'],
      ['plain', 'plain 3 steps: 30.0 dB at 1.33×, of 2'],
    ].sort(),
  )
})

test('where pictures are equal, the end of the axis at which they stand says so instead of a number of decibels', async () => {
  const [{ figures }] = await measured()
  const axisOf = (plot: string): string[] =>
    [...plot.matchAll(/<text (?:class="number[^"]*" )?x[^>]*>([^<]*)</g)].map(([, text]) => text)
  const bench = (psnr: number | null): string[] =>
    axisOf(closenessPlot({ ...figures, pictures: [{ ...figures.pictures[0], psnr_db: psnr, fewer_steps_psnr_db: 40 }] }).text)
  assert.equal(
    [bench(null), bench(40)].map((texts) => texts.filter((text) => text === 'equal').length),
    [1, 0],
  )
  const table1 = async (psnr: number | null): Promise<string[]> => {
    const page = await tablePage(table([run('sada', 0, psnr), run('every-n', 0, 40)]), new Pictures([]))
    return axisOf(page.split('<svg class="chart"')[1])
  }
  const [some, none] = [await table1(null), await table1(50)]
  assert.ok(some.includes('equal') && some.includes('40 dB') && !some.includes('45 dB'), some.join())
  assert.not.ok(none.includes('equal'))
})

test('what could not run at some guidance scale is not said to have run at none', async () => {
  const lacking = { scheduler: 'euler', reason: 'It lacks it.' }
  const result: TableResult = {
    ...table([run('sada', 0, 40), run('every-n', 0, 30)]),
    missing: [
      { ...lacking, method: 'every-n', guidance: 1 },
      { ...lacking, method: 'every-n', guidance: 7 },
      { ...lacking, method: 'deepcache', guidance: 1 },
      { ...lacking, method: 'deepcache', guidance: 3 },
    ],
  }
  for (const text of [markdown(result), await tablePage(result, new Pictures([]))]) {
    assert.equal(text.match(/Not run: [^<\n]*/g), [
      'Not run: every-n with euler at guidance 1, 7. It lacks it.',
      'Not run: deepcache with euler. It lacks it.',
    ])
  }
})

test('what policies warned of is said once, with the rows that it was said of', async () => {
  const warned = ['sada', 'every-n', 'easycache'].map((method, k) => run(method, 0, 30 + k, { warnings: ['It skips nothing.'] }))
  const others = [run('deepcache', 0, 20), run('sada', 1, 40, { guidance: 7, warnings: ['It skips nothing.', 'Another.'] })]
  const result = table([...warned, ...others])
  const notes = ['sada, every-n, easycache: It skips nothing.', 'sada: Another.']
  const lines = markdown(result).split('\n')
  for (const note of notes) assert.is(lines.filter((line) => line.startsWith(`- ${note}`)).length, 1, note)
  const page = await tablePage(result, new Pictures([]))
  for (const note of notes) assert.is(page.split(`<li>${note}`).length, 2, note)
})

test('sounds are called so in headings, and their spectrograms stand one below the other', async () => {
  const cases = await measured()
  const sounds = { ...model, note: 'Sounds.', shape: [3, 4, 36] as const } // as many values as the pictures have
  const pages = [await reportPage(resultOf(cases), cases, model), await reportPage(withNote(resultOf(cases)), cases, sounds)]
  const found = pages.map((page) => [
    ...page.matchAll(/\d\s+(pictures|sounds)\s+for\s+each|(Pictures|Sounds), the worst first|class="(pictures[^"]*)"/g),
  ])
  const of = (all: RegExpMatchArray[]): string[] => [...new Set(all.map(([text]) => text.replace(/\s+/g, ' ')))]
  assert.equal(found.map(of), [
    ['4 pictures for each', 'Pictures, the worst first', 'class="pictures"'],
    ['4 sounds for each', 'Sounds, the worst first', 'class="pictures wide"'],
  ])
  const noted = { ...table([run('sada', 0, 40), run('every-n', 0, null)]), note: 'Sounds.' }
  const page = await tablePage(noted, new Pictures([]))
  for (const said of ['>The worst sounds<', '>The worst sound of each other policy<', 'every-n: every sound is equal'])
    assert.ok(page.includes(said), said)
})

test('no level of headings is left out, and what a strip shows is told in words', async () => {
  const cases = await measured()
  const table1 = await tablePage(table([run('sada', 0, 40), run('every-n', 0, 30)]), new Pictures([]))
  for (const page of [await reportPage(resultOf(cases), cases, model), table1]) {
    const levels = [...page.matchAll(/<h(\d)/g)].map(([, level]) => Number(level)).filter((level) => level < 4)
    assert.ok(
      levels.every((level, k) => level <= (levels[k - 1] ?? 0) + 1),
      levels.join(),
    )
  }
  assert.match(table1, /aria-label="Steps 1 run, 2 extrapolate, 3 run, 4 extrapolate\."/)
})

test.run()
