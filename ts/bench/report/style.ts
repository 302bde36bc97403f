/** The report's style sheet: no font, image or script from anywhere else. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d2230; --soft: #5b6375; --rule: #e2e0da; --accent: #0b6bcb;
  --accent-soft: #0b6bcb1c;
  --plain: #b4531a; --base: #8a91a1; --good: #0a7d55; --bad: #b3261e;
  --run: #2c3650; --partial: #9b4f96; --prune: #d98e04; --extrapolate: #2f8fdd; --interpolate: #17a28b;
  --reuse: #9a6fd8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12141a; --card: #1a1d26; --ink: #e8eaf0; --soft: #9aa3b5; --rule: #2c313d;
    --accent: #5fb0ff; --accent-soft: #5fb0ff26;
    --plain: #f0965a; --base: #7d8598; --good: #4cc79a; --bad: #ff8a80;
    --run: #c3cbe0; --partial: #d68fd1; --prune: #f2b441; --extrapolate: #58aef5; --interpolate: #3cc9b0; --reuse: #b794f0;
  }
}
* { box-sizing: border-box }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 80px }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em }
h2 { font-size: 22px; margin: 56px 0 4px; letter-spacing: -.005em; overflow-wrap: anywhere } #guide h2, #machine h2 { margin-bottom: 12px }
h3 { font-size: 15px; margin: 28px 0 8px }
p { margin: 0 0 12px; max-width: 72ch }
.lead, .soft { color: var(--soft) }
.eyebrow { color: var(--soft); font-size: 13px; margin: 0 0 8px }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 14px; margin: 14px 0 0 }
a { color: var(--accent); text-decoration: none } a:hover { text-decoration: underline }
.warning { border-left: 3px solid var(--prune); padding: 8px 14px; background: var(--card); margin: 20px 0 0 }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(270px, 1fr)); gap: 16px; margin: 28px 0 0 }
.tile, .sample, figure.plot { background: var(--card); border: 1px solid var(--rule); border-radius: 10px }
.tile { padding: 18px 20px }
.tile h2 { margin: 0; font-size: 14px; font-weight: 600; letter-spacing: 0 }
.tile h2 span { color: var(--soft); font-weight: 400 }
.big {
  font-size: 42px; line-height: 1.15; font-weight: 650; letter-spacing: -.02em; margin: 6px 0 10px;
  font-variant-numeric: tabular-nums;
}
.big small { font-size: 15px; font-weight: 400; letter-spacing: 0; color: var(--soft); margin-left: 6px }
dl { display: grid; grid-template-columns: auto 1fr; gap: 3px 16px; margin: 0; font-size: 14px }
dt { color: var(--soft) } dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.tile dd { text-align: right } .tile .note { font-size: 13px; color: var(--soft); margin: 8px 0 0 }
.up { color: var(--good) } .down { color: var(--bad) }
.scroll {
  overflow-x: auto; margin: 12px 0 0; border: 1px solid var(--rule); border-radius: 10px; background: var(--card);
}
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums }
th, td { padding: 7px 8px; text-align: right; white-space: nowrap }
th:first-child { padding-left: 14px } td:last-child, thead th:last-child { padding-right: 14px }
thead th { color: var(--soft); font-weight: 500; border-bottom: 1px solid var(--rule) }
th:first-child, tbody th { text-align: left; font-weight: 400 }
tbody tr:first-child th, tbody tr:first-child td { border-top: 1px solid var(--rule) }
tr.group th { font-weight: 650; padding-top: 14px }
tbody th {
  position: sticky; left: 0; background: var(--card);
  max-width: 300px; white-space: normal; overflow-wrap: break-word;
}
tr.ours th, tr.ours td { font-weight: 650; background: color-mix(in srgb, var(--accent) 11%, var(--card)) }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); gap: 16px; margin: 16px 0 0 }
figure { margin: 0 }
figure.plot { padding: 14px 16px 10px }
figcaption { font-size: 14px; color: var(--soft); margin-bottom: 6px }
figcaption b { color: var(--ink); font-weight: 600; display: block }
.chart { display: block; width: 100%; height: auto; overflow: visible }
.chart text { font-size: 11px; fill: var(--soft) } .chart .row { fill: var(--ink) }
.chart .region { text-anchor: middle; paint-order: stroke; stroke: var(--card); stroke-width: 3px }
.grid { stroke: var(--rule); stroke-width: 1; fill: none }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.line.accelerated { stroke: var(--accent) }
.line.baseline { stroke: var(--base) }
.line.faint { stroke: var(--base); opacity: .4; stroke-width: 1 }
circle.accelerated { fill: var(--accent) } circle.plain { fill: none; stroke: var(--plain); stroke-width: 2 }
.area { fill: var(--accent-soft) } .stable { fill: var(--accent-soft) }
.key {
  display: inline-block; width: 14px; height: 3px; vertical-align: middle; margin: 0 5px 2px 0; border-radius: 2px;
}
.key + .key, span + .key { margin-left: 14px }
.samples { display: grid; gap: 14px }
.sample { display: grid; grid-template-columns: auto 1fr; gap: 4px 24px; padding: 16px }
.pictures { display: grid; grid-template-columns: repeat(4, 128px); gap: 10px }
.pictures figure { min-width: 0 }
.sample:has(.wide) { grid-template-columns: minmax(0, 1fr) } .pictures.wide { grid-template-columns: minmax(0, 1fr) !important }
.pictures img {
  display: block; width: 100%; height: auto; image-rendering: pixelated; border-radius: 6px; background: #000;
}
.pictures figcaption { font-size: 12px; line-height: 1.3; margin: 5px 0 0 }
.sample h4 { margin: 0 0 6px; font-size: 15px; font-weight: 500; line-height: 1.4; overflow-wrap: anywhere }
.about { min-width: 0 }
.across { grid-column: 1 / -1; margin-top: 8px }
.strip { display: block; width: 100%; height: 28px }
.cell { opacity: .2 }
.a-extrapolate .cell, .a-interpolate .cell, .a-reuse .cell, .s-extrapolate, .s-interpolate, .s-reuse { opacity: .5 }
.scale { display: flex; justify-content: space-between; font-size: 12px; color: var(--soft) }
.legend {
  list-style: none; margin: 12px 0 14px; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 22px;
  font-size: 13.5px; color: var(--soft);
}
.legend b { color: var(--ink); font-weight: 600 }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 6px }
.badge {
  font-size: 12px; border: 1px solid var(--rule); border-radius: 99px; padding: 1px 8px; color: var(--soft);
  white-space: nowrap;
}
details { margin: 14px 0 0 }
summary { cursor: pointer; color: var(--accent); font-size: 14px }
details[open] summary { margin-bottom: 14px }
.guide { columns: 2; column-gap: 40px }
.guide div { break-inside: avoid; margin-bottom: 14px }
.guide h3 { margin: 0 0 2px }
.guide p { margin: 0; font-size: 15px }
@media (max-width: 860px) {
  .sample { grid-template-columns: 1fr }
  .guide { columns: 1 }
  .pictures { grid-template-columns: repeat(4, minmax(0, 128px)) }
  .about { order: -1 }
}
@media (max-width: 520px) {
  main { padding: 24px 14px 60px }
  h1 { font-size: 24px }
  .big { font-size: 36px }
  .pictures { grid-template-columns: repeat(2, minmax(0, 1fr)) }
  .strip { height: 24px }
  tbody th { max-width: 38vw }
}
@media print {
  body { background: #fff } .tile, .sample, figure.plot { break-inside: avoid }
  .scroll { overflow: visible } table { font-size: 8.5px } th, td { padding: 4px 3px; white-space: normal }
  .key, .swatch, tr.ours { print-color-adjust: exact }
}
${['run', 'partial', 'prune', 'extrapolate', 'interpolate', 'reuse'].map(colourOf).join('\n')}
`

function colourOf(action: string): string {
  return `.a-${action} rect { fill: var(--${action}) } .s-${action} { background: var(--${action}) }`
}
