import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { measure, type MeasuredCase } from '../../ts/bench/bench.ts'
import { reportPage } from '../../ts/bench/report/page.ts'
import { STYLE } from '../../ts/bench/report/style.ts'
import { Pictures } from '../../ts/bench/table1/pictures.ts'
import { tablePage } from '../../ts/bench/table1/page.ts'
import { fakePipeline, model, resultOf, settings, silent } from '../support/bench.ts'
import { run, table } from '../support/table1.ts'

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

test.run()
