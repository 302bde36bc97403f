import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { measure, type MeasuredCase } from '../../ts/bench/bench.ts'
import { reportPage } from '../../ts/bench/report/page.ts'
import { STYLE } from '../../ts/bench/report/style.ts'
import { fakePipeline, model, resultOf, settings, silent } from '../support/bench.ts'

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

test.run()
