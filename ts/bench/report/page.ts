import type { MeasuredCase } from '../bench.ts'
import type { BenchModel } from '../model.ts'
import type { BenchResult } from '../result.ts'
import { caseName } from '../table.ts'
import { caseSection } from './case.ts'
import { schedulerName } from './figures.ts'
import { guide } from './guide.ts'
import { headline } from './headline.ts'
import { html, Markup } from './markup.ts'
import { thingsOf } from './pictures.ts'
import { STYLE } from './style.ts'
import { figuresTable } from './table.ts'

/** The report as one HTML file that needs nothing else. */
export async function reportPage(result: BenchResult, cases: readonly MeasuredCase[], from: BenchModel): Promise<string> {
  const { model, machine, created } = result
  const [{ steps, guidance, samples, batch }] = result.cases
  const sections = await Promise.all(cases.map((each, k) => caseSection(each, from, `case-${k + 1}`)))
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>sada-bench: ${model.name}</title>
        <style>
          ${new Markup(STYLE)}
        </style>
      </head>
      <body>
        <main>
          <header>
            <p class="eyebrow">sada-bench, ${created.slice(0, 16).replace('T', ' ')} UTC${result.quick && ', quick run'}</p>
            <h1>How much faster, and how close?</h1>
            <p class="lead">
              The model “${model.name}” with and without acceleration: ${samples}
              ${samples === 1 ? thingsOf(model.note).one : thingsOf(model.note).many} for each solver,
              ${batch === 1 ? 'one' : batch} per call, ${steps} steps, guidance ${guidance}, on ${machine.cpu} with
              ${machine.cores} cores.
            </p>
            <nav>
              ${cases.map(
                ({ figures }, k) => html`<a href="#case-${k + 1}">${schedulerName(figures.scheduler)}, ${caseName(figures)}</a>`,
              )}<a href="#guide">How to read this</a><a href="#machine">Machine and versions</a>
            </nav>
            ${busy(result)}
          </header>
          ${headline(result.cases)}
          <h2>All figures</h2>
          <p class="soft">
            PSNR in dB against the run that computes every step, from the same noise: mean, and the worst picture. Higher is
            closer. ${model.note}
          </p>
          ${figuresTable(result.cases)} ${sections} ${guide(result)} ${about(result)}
        </main>
      </body>
    </html> `
  return page.text
}

function busy({ machine: { load_average: load, cores } }: BenchResult): Markup | undefined {
  if (load <= cores / 2) return undefined
  return html`<p class="warning">
    The machine was busy in the minute before (load ${load} on ${cores} cores), with other work or a build: wall times may be less
    certain; network runs, FLOPs and closeness are not affected.
  </p>`
}

function about({ machine, versions, model, cases: [{ seed }] }: BenchResult): Markup {
  const weight = model.bytes === null ? [] : [`${(model.bytes / 1e6).toFixed(1)} MB`]
  const tokens = model.tokens === null ? [] : [`${model.tokens} tokens`]
  const facts: [string, string][] = [
    ['Processor', `${machine.cpu}, ${machine.cores} cores`],
    ['Memory', `${machine.memory_gib} GiB`],
    ['Platform', `${machine.platform}, kernels for ${machine.instruction_set}`],
    ['Load before', String(machine.load_average)],
    ['sada', versions.commit === null ? versions.sada : `${versions.sada}, commit ${versions.commit}`],
    ['Node', versions.node],
    [
      'ONNX Runtime',
      `${versions.onnxruntime}, ${model.threads === 0 ? 'one thread per physical core' : `${model.threads} threads`}`,
    ],
    ['Model', [model.name, ...weight, `${model.size.join('×')} pixels`, ...tokens].join(', ')],
    ...(model.control === undefined ? [] : ([['Led by', model.control]] as [string, string][])),
    ['Device', machine.device ?? 'cpu'],
    ['Seeds', `from ${seed} on, one for each picture`],
  ]
  return html`<section id="machine">
    <h2>Machine and versions</h2>
    <dl>
      ${facts.map(
        ([name, value]) =>
          html`<dt>${name}</dt>
            <dd>${value}</dd>`,
      )}
    </dl>
  </section>`
}
