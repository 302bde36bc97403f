import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { csv } from '../../ts/bench/table1/csv.ts'
import { markdown } from '../../ts/bench/table1/markdown.ts'
import { tablePage } from '../../ts/bench/table1/page.ts'
import { Pictures } from '../../ts/bench/table1/pictures.ts'
import { publishedFigures } from '../../ts/bench/table1/published.ts'
import { tableResult, type TableResult } from '../../ts/bench/table1/result.ts'
import { publishedText } from '../../ts/bench/table1/text.ts'
import { policies } from '../../ts/policy/index.ts'
import { emptyFolder } from '../support/spawn.ts'
import { run, table } from '../support/table1.ts'

test('a row that is equal everywhere says so in every form', async () => {
  const result = table([run('sada', 0, null), run('none', 0, null, { steps: 2 })])
  assert.equal(result.rows[0].psnr_db, { mean: 150, worst_decile: 150, worst: null })
  assert.match(markdown(result), /\| equal \| equal \| equal \| 1 \|.*\| 2 steps: equal \(\+0\.0, \+0\.0\)/)
  const page = await tablePage(result, new Pictures([]))
  assert.match(page, /<td>equal<\/td>\s*<td>equal<\/td>\s*<td>equal<\/td>\s*<td>1<\/td>/)
  for (const text of [page, markdown(result)]) assert.match(text, /count as 150 dB/)
})

test('SSIM is optional: a row has one where all its pictures have, a table a column where a row has, and says so where none has', async () => {
  const without = { ssim: undefined }
  const mixed = [run('sada', 0, 30), run('sada', 1, 31, { ssim: 0.99999 }), run('every-n', 0, 30), run('every-n', 1, 30, without)]
  const some = table([...mixed, run('easycache', 0, 90, { ssim: 0.99999 }), run('easycache', 1, 90, { ssim: 1 })])
  assert.equal(
    some.rows.map(({ ssim }) => ssim),
    [{ mean: 1.89999 / 2, worst: 0.9 }, undefined, { mean: 0.999995, worst: 0.99999 }],
  )
  assert.match(markdown(some), /\| 0 \| 0\.9500 \|[^]*\| 0 \| – \|[^]*\| 0 \| > 0\.9999 \|/)
  const none = table([run('sada', 0, 30, without), run('none', 0, 20, { steps: 2, ...without })])
  assert.equal(v.parse(tableResult, JSON.parse(JSON.stringify(none))), none)
  for (const text of [markdown(none), await tablePage(none, new Pictures([]))]) {
    assert.match(text, /SSIM was not measured/)
    assert.not.match(text, /undefined|NaN|\| SSIM|>SSIM</)
  }
})

test("what is published elsewhere is of the row's solver or of none that is named, with its source, and says where it was not verified", async () => {
  const published = await publishedFigures()
  const said = (scheduler: string, method = 'sada/poster'): string => {
    const [row] = table([run(method, 0, 30, { scheduler })], { published }).rows
    return publishedText(row)
  }
  assert.is(said('euler'), '26.25 dB @ 1.81× on Stable Diffusion 2, Euler (SADA paper, table 1; not verified)')
  assert.is(said('dpm++'), '26.34 dB @ 1.8× on Stable Diffusion 2, DPM++ (SADA paper, table 1; not verified)')
  assert.is(said('flow-euler'), '29.44 dB @ 2.02× on FLUX.1 (SADA paper, table 1; not verified)')
  assert.is(
    said('euler', 'seacache'),
    '30.19 dB @ 2.36× on FLUX.1-dev 1024², 50 steps (vllm-project/vllm-omni pull request 6975)',
  )
  const [ofDpm] = published['sada/poster']
  assert.is(publishedText({ ...table([run('sada', 0, 30)]).rows[0], published: [ofDpm] }), '')
})

test('on the page, further settings of a sweep are folded and have no number; one that was asked for alone has', async () => {
  const page = await tablePage(
    table([run('sada', 0, 30), run('every-n', 0, 30), run('every-n:n=4', 0, 25), run('easycache:threshold=0.1', 0, 28)]),
    new Pictures([]),
  )
  const [open, folded, ...others] = page.split(/<details>\s*<summary>1 further settings?/)
  assert.is(others.length, 0)
  const names = (part: string): string[] =>
    [...part.matchAll(/<th scope="row">([^<]*)</g)].map(([, name]) => name.replace(' ★', ''))
  assert.equal(
    names(open)
      .map((name) => name.replace(/^\d\. /, ''))
      .sort(),
    ['easycache:threshold=0.1', 'every-n', 'sada'],
  )
  assert.ok(names(open).every((name) => /^[123]\. /.test(name)))
  assert.equal(names(folded.slice(0, folded.indexOf('</details>'))), ['every-n:n=4'])
})

test('a metric stands with what must be said beside it: bias, spread, the baseline and its settings', async () => {
  const plainly = table([run('sada', 0, 30)])
  const values = {
    fid: {
      value: 7.129,
      samples: 8,
      bias: { halves: 9.5, extrapolated: 2.25, points: [{ count: 8, fid: 7.129 }] },
      settings: { flavour: 'x' },
    },
    kid: { value: 0.5, std: 0.25, samples: 8, settings: { subsets: 100 } },
    'clip-score': { value: 0.25, baseline: 0.3, samples: 8, settings: { model: 'm' }, published_weights: false },
  }
  const result: TableResult = {
    ...plainly,
    metrics: Object.fromEntries(
      Object.keys(values).map((name) => [name, { unit: '', direction: 'lower', about: `About ${name}.` }]),
    ),
    rows: [{ ...plainly.rows[0], metrics: values }],
  }
  assert.equal(v.parse(tableResult, JSON.parse(JSON.stringify(result))), result)
  const forms = [markdown(result), await tablePage(result, new Pictures([]))]
  for (const text of forms) {
    for (const said of [
      '7.13 (halves 9.5; ∞ 2.25)',
      '0.5 ± 0.25',
      '0.25 (full run 0.3)',
      'About kid. subsets 100.',
      'Not the published weights',
    ])
      assert.ok(text.includes(said.replace(';', ',')), said)
  }
})

test('text of others is shown as it is in every form, and starts nothing in any', async () => {
  const method = 'x:a=|b|*c*\u001b[31m\n# d<i>&"e"'
  const runs = [run(method, 0, 30), run('=1+1', 0, 30), run('+a,"b', 0, 30), run('-3', 0, 30), run('none', 0, 60, { steps: 2 })]
  const result = table(runs.map((each) => ({ ...each, kind: '@k|\r\n', prompt: 'p\u0007\u202e' })))
  const page = await tablePage(result, new Pictures([]))
  assert.not.match(page, /\u001b|\u0007|\u202e|<i>&/)
  const lines = markdown(result).split('\n')
  assert.ok(lines.includes('### euler, guidance 3, @k\\|  prompts'), lines[4])
  const [head, , row] = lines.slice(lines.findIndex((line) => line.startsWith('| method')))
  assert.match(lines.join('\n'), /\| x:a=\\\|b\\\|\\\*c\\\*\ufffd\\\[31m \\# d&lt;i>&amp;"e" °/)
  assert.is(row.split(/(?<!\\)\|/).length, head.split('|').length)
  const cells = csv(result)
  for (const cell of [",'@k| ,", ",'=1+1,", `,"'+a,""b",`, ',-3,', ',-30.0000,']) assert.ok(cells.includes(cell), cell)
  assert.not.match(cells, /\u001b|(^|[^\r])\n/)
})

test('the table fits its schema, and every form has every row, escaped', async () => {
  const published = await publishedFigures()
  for (const name of Object.keys(published)) assert.ok(name in policies, name)
  const runs = ['sada', 'easycache', 'every-n:n=2'].map((method, k) => run(method, 0, 30 + k))
  const result = table([...runs, run('none', 0, 20, { steps: 2 })], { published })
  assert.equal(v.parse(tableResult, JSON.parse(JSON.stringify(result))), result)
  const page = await tablePage(result, new Pictures([join(emptyFolder(), 'none')]))
  for (const text of [markdown(result), csv(result), page]) {
    for (const { method } of result.rows) assert.ok(text.includes(method), method)
  }
  assert.not.match(page, /<b>picture/)
  const lines = csv(result).trimEnd().split('\r\n')
  assert.is(lines.length, 5)
  assert.match(page, /<\/html>\s*$/)
  assert.not.match(page, /(src|href)="(?!data:|#)/)
})

test.run()
