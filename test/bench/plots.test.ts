import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { criterionPlot } from '../../ts/bench/report/plots.ts'
import { STYLE } from '../../ts/bench/report/style.ts'
import { NO_NETWORKS } from '../../ts/metrics/network-files.ts'
import { placeLabels } from '../../ts/bench/table1/labels.ts'
import { tablePage } from '../../ts/bench/table1/page.ts'
import { Pictures } from '../../ts/bench/table1/pictures.ts'
import type { TableResult } from '../../ts/bench/table1/result.ts'
import type { MemberTrace } from '../../ts/sampler/trace.ts'
import { run, table } from '../support/table1.ts'

// What plots and their legends say, and where.

const pageOf = (result: TableResult): Promise<string> => tablePage(result, new Pictures([]))

test('a label stands where it covers neither a mark nor a label, while there is such a place', () => {
  const marks = [
    { x: 100, y: 100, radius: 5, width: 26 },
    { x: 112, y: 92, radius: 4, width: 6 },
    { x: 88, y: 92, radius: 4, width: 6 },
  ]
  const boxes = placeLabels(marks).map(({ x, y, anchor }, k) => {
    const left = x - { start: 0, middle: 0.5, end: 1 }[anchor] * marks[k].width
    return { left, right: left + marks[k].width, top: y - 8, bottom: y }
  })
  for (const [k, { left, right, top, bottom }] of boxes.entries()) {
    for (const { x, y, radius } of marks)
      assert.not.ok(left < x + radius && x - radius < right && top < y + radius && y - radius < bottom, `${k} covers a mark`)
    for (const other of boxes.slice(k + 1))
      assert.not.ok(left < other.right && other.left < right && top < other.bottom && other.top < bottom, `${k} covers a label`)
  }
})

test('a legend names a front and plain runs only where they are drawn', async () => {
  const plots = async (result: TableResult): Promise<string[]> =>
    (await pageOf(result)).split('<figure class="plot">').slice(1, 3)
  for (const result of [
    table([run('sada', 0, 40)]),
    table([run('sada', 0, 40), run('every-n', 0, 50), run('none', 0, 30, { steps: 2, nfe: 2 })]),
  ])
    for (const plot of await plots(result))
      assert.equal(
        [plot.includes('Pareto front'), plot.includes('key ring')],
        [plot.includes('class="line front"'), plot.includes('<circle class="plain')],
      )
})

test('points stand within the frame of their plot', async () => {
  const [plot] = (await pageOf(table([run('sada', 0, null), run('every-n', 0, 40)]))).split('<svg class="chart"').slice(1)
  const [, left, top, bottom] = /<path class="grid" d="M(\S+) \S+H[^]*<path class="grid" d="M\S+ (\S+)V(\S+)"/
    .exec(plot)!
    .map(Number)
  for (const [, x, y] of plot.matchAll(/<circle [^>]*cx="([^"]*)" cy="([^"]*)"/g))
    assert.ok(Number(x) > left && Number(y) > top && Number(y) < bottom, `${x} ${y}`)
})

test('there is a column of published figures where a row has one', async () => {
  const made = table([run('sada', 0, 40)])
  const published = [{ model: 'm', source: 's', solver: null, psnr_db: 30, speedup: 2, unit: 'wall', verified: true } as const]
  const told = { ...made, rows: made.rows.map((row) => ({ ...row, published })) } as TableResult
  assert.equal(
    [
      (await pageOf({ ...made, rows: made.rows.map((row) => ({ ...row, published: [] })) })).includes('published'),
      (await pageOf(told)).includes('published<'),
    ],
    [false, true],
  )
})

test('metrics that lack networks for one reason are one note', async () => {
  const made = table([run('sada', 0, 40)])
  const lacking = (why: string) => ({ unit: '', direction: 'lower', about: '', unavailable: why }) as const
  const metrics = {
    a: lacking(`It needs A, and ${NO_NETWORKS}; x`),
    b: lacking(`It needs B, and ${NO_NETWORKS}; y`),
    c: lacking('Broken.'),
  }
  const notes = [...(await pageOf({ ...made, metrics })).matchAll(/<li>([^<]*unavailable[^<]*)</g)]
  assert.is(notes.length, 2)
  assert.match(notes[0][1], /^a, b are unavailable: /)
})

test('powers of ten have a minus sign, and the words of the criterion stand over its curves', () => {
  const steps = [1e-4, -5e-4].map((criterion, step) => ({ step, criterion }))
  const plot = criterionPlot([{ steps } as unknown as MemberTrace], 0)!.text
  assert.match(plot, '>−5e−4<')
  assert.not.match(plot, />[^<]*-\d/)
  assert.ok(plot.indexOf('>stable<') > plot.lastIndexOf('<circle'))
})

test('no column of plots is wider than a narrow page', () => {
  for (const [, least] of STYLE.matchAll(/\.plots[^}]*minmax\(([^,]*),/g)) assert.match(least, 'min(')
})

test.run()
