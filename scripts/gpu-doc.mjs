// Writes docs/gpu.md from what verify:gpu recorded: bench/results/gpu-*.json, one part for each GPU. What a record lacks is told.
//
//   node scripts/gpu-doc.mjs [FOLDER FILE]      of another folder's records, to another file
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const [folder, file] =
  process.argv.length > 3 ? process.argv.slice(2) : [join(root, 'bench', 'results'), join(root, 'docs', 'gpu.md')]
const files = readdirSync(folder).filter((file) => /^gpu-.*\.json$/.test(file))
const changed = readdirSync(folder).filter((file) => /^kernel-changes-.*\.json$/.test(file))

const table = (head, rows) =>
  [head, head.map((_, k) => (k === 0 ? '---' : '---:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
const NOT_MEASURED = 'not measured'
const isTold = (result = NOT_MEASURED) => typeof result === 'string' || result.failed !== undefined
const told = (result = NOT_MEASURED) =>
  typeof result === 'string' ? result.split('\n')[0].replace(/\. Tried:$/, '') : `failed: ${result.failed}`
const version = (cuda) => `${Math.floor(cuda / 1000)}.${Math.floor((cuda % 1000) / 10)}`
const ms = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`
const us = (value) => `${(1000 * value).toFixed(1)} µs`
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`

function correctness({ kernels, cases, sanitizers, concurrency, lifecycle, memory, recovery }) {
  const lines = []
  const add = (name, result, say) => lines.push(`- ${name}: ${isTold(result) ? told(result) : say(result)}`)
  const counted = (all) => Object.entries(all).map(([section, count]) => `${section} ${count}`)
  add('the fused step through the addon', kernels, ({ sizes, equal }) => `${equal} of the CPU's, ${sizes.length} sizes`)
  add('every kernel’s cases', cases, (all) => counted(all).join(', '))
  add('compute-sanitizer', sanitizers, (all) =>
    Object.entries(all)
      .map(([tool, { kernels: found, cases: under }]) => `${tool} ${found}${isTold(under) ? '' : ', also in all cases'}`)
      .join('; '),
  )
  add('runs at once', concurrency, ({ runs, equal }) => `${runs}, ${equal} of serial ones`)
  add(
    'runs that end early',
    lifecycle,
    ({ runs, aborted, disposed_while_running: disposed, workers, left }) =>
      `${aborted} of ${runs} at once aborted, ${disposed} whose pipeline was disposed of, ${workers} worker threads: ${mebibytes(left)} left on the GPU`,
  )
  add('memory', memory, (each) =>
    each
      .map(({ policy, quoted, measured }) => `${policy}: ${mebibytes(quoted)} quoted, ${mebibytes(measured)} gone from the GPU`)
      .join('; '),
  )
  add('a full GPU', recovery, ({ after_out_of_memory: after }) => after)
  return lines.join('\n')
}

/** Where runs were decided that the GPU can decide by itself, and what came of it. */
const decisions = (engines) =>
  Object.entries(engines)
    .filter(([, engine]) => !isTold(engine))
    .map(([name, { decisions: made }]) =>
      made
        ? `- decided on the ${made.decided_on} (${name}), against the loop: ${made.equal}`
        : `- decisions (${name}): ${NOT_MEASURED}`,
    )

const engineRows = (engines) =>
  Object.entries(engines)
    .filter(([, engine]) => !isTold(engine))
    .flatMap(([name, { cases }]) =>
      cases.map(({ scheduler, pictures, steps, network_runs: runs, ms: times, sampler_us_per_step: sampler, psnr_db }) => [
        ...[name, scheduler, pictures, ms(times.none), ms(times.sada), `${(times.none / times.sada).toFixed(2)} ×`],
        ...[`${runs.toFixed(1)} of ${steps}`, `${sampler.toFixed(0)} µs`],
        `${psnr_db.mean.toFixed(1)} / ${psnr_db.min.toFixed(1)} dB`,
      ]),
    )

function pictures(engines) {
  const rest = Object.entries(engines).filter(([, engine]) => isTold(engine))
  const missing = rest.map(([name, engine]) => `- ${name}: ${told(engine)}`)
  const head = [
    'engine',
    'scheduler',
    'pictures',
    'full',
    'sada',
    'ratio',
    'network runs',
    'sampler per step',
    'PSNR mean / least',
  ]
  return [table(head, engineRows(engines)), ...missing].join('\n\n')
}

/** Where memory has to move more than is wanted, also of a copy of all of that. */
function ofCopy({ bytes, touchedBytes = bytes, percentOfCopy, percentOfTouchedCopy }) {
  const plain = `${percentOfCopy.toFixed(0)} %`
  return touchedBytes === bytes ? plain : `${plain}; of the sectors touched ${percentOfTouchedCopy.toFixed(0)} %`
}

function kernelTable(kernels, pytorch) {
  if (isTold(kernels)) return told(kernels)
  const size = (name) => name.replace(/^1 x /, '')
  const torchOf = ({ kernel, size: of }) =>
    isTold(pytorch) ? undefined : pytorch.find((each) => each.kernel === kernel && each.size.split(' ').at(-1) === size(of))
  const rows = kernels
    .filter(({ size: of }) => of !== undefined)
    .map((each) => {
      const torch = torchOf(each)
      return [
        ...[each.kernel, each.size, us(each.ms), us(each.hostMs), us(each.replayedMs)],
        ...[`${each.gigabytesPerSecond.toFixed(0)} GB/s`, ofCopy(each)],
        torch ? `${us(torch.ms)}, ${us(torch.hostMs)}, ${us(torch.deviceMs)}` : '',
      ]
    })
  const empty = kernels.find(({ kernel }) => kernel === 'empty')
  const costs =
    empty && `${us(empty.ms)} a launch, ${us(empty.hostMs)} of it on the host; ${us(empty.replayedMs)} replayed in a graph`
  return [
    `An empty kernel: ${costs ?? NOT_MEASURED}.`,
    table(['kernel', 'size', 'a launch', 'host', 'replayed', 'rate', 'of a copy', 'PyTorch: a step, host, replayed'], rows),
  ].join('\n\n')
}

function stepTable(steps) {
  if (isTold(steps)) return told(steps)
  const rows = steps.map(({ name, us: { p05, p50, p95 } }) => [
    name,
    `${p50.toFixed(0)} µs`,
    `${p05.toFixed(0)}–${p95.toFixed(0)} µs`,
  ])
  return table(['latents', 'median', '5–95 %'], rows)
}

function targetTable(speed) {
  if (isTold(speed)) return told(speed)
  const rows = speed.targets.map(({ target, wanted, measured, met }) => [
    ...[target, wanted],
    typeof measured === 'number' ? measured.toFixed(1) : measured,
    met === undefined ? '' : met ? 'met' : 'missed',
  ])
  return table(['', 'wanted', 'measured', ''], rows)
}

function part(file) {
  const { gpu, driver, cuda, versions, commit, cpu, date, results } = JSON.parse(readFileSync(join(folder, file), 'utf8'))
  const { engines, steps, speed } = results
  return `## ${gpu.name}

Compute capability ${gpu.computeCapability}, driver for CUDA ${version(driver)}, kernels of CUDA ${version(cuda)}; Node ${versions.node}, sada ${versions.sada}, commit ${commit?.slice(0, 12) || 'unknown'}; ${cpu}; ${date.slice(0, 10)}. All of it in [bench/results/${file}](../bench/results/${file}).

### What holds

${[correctness(results), ...(isTold(engines) ? [] : decisions(engines))].join('\n')}

### Pictures of the bundled model, network on the GPU

${isTold(engines) ? told(engines) : pictures(engines)}

### A step from JavaScript

From the call to its sums, four buffers, two rows, two sums:

${stepTable(steps)}

### Targets

${targetTable(speed)}

### Kernels

${isTold(speed) ? told(speed) : kernelTable(speed.kernels, speed.pytorch)}
`
}

/** Changes to kernels that were timed one by one: microseconds of a launch in a graph, each time that was measured. */
function changes(name) {
  const { what, gpu, driver, date, cases, copies, step, moves } = JSON.parse(readFileSync(join(folder, name), 'utf8'))
  const columnsOf = (...wanted) => wanted.map(([kernel, size]) => ({ kernel, size }))
  const find = (rows, { kernel, size }) => rows.find((row) => row.kernel === kernel && row.size === size)
  const tableOf = (variants, columns) => {
    const timed = variants.map(({ change, run, rows }) => [
      ...[change, run],
      ...columns.map(
        (column) =>
          find(rows, column)
            ?.replayed_us.map((each) => each.toFixed(2))
            .join(', ') ?? '',
      ),
    ])
    const copied = ['a copy of as many bytes, a launch', '', ...columns.map((column) => find(copies, column).copy_us.toFixed(2))]
    return table(['change', 'machine', ...columns.map(({ kernel, size }) => `${kernel}, ${size}`)], [...timed, copied])
  }
  const half = 'step, float16'
  const planes = (kind, of) => [`${kind}, channels first${of}`, '8192/16384 x 320']
  const large = (kind, of) => [`${kind}, channels first${of}`, '32768/65536 x 320']
  return `## ${gpu}: changes to kernels

${what[0].toUpperCase()}${what.slice(1)}. Driver ${driver}, ${date}; all of it in [bench/results/${name}](../bench/results/${name}). Microseconds, replayed.

${tableOf(step, columnsOf(['step', '1 x 65536'], ['step', '1 x 262144'], ['step', '1 x 4194304'], [half, '1 x 262144'], [half, '1 x 1048576']))}

${tableOf(moves, columnsOf(planes('gather', ''), planes('gather', ', float16'), large('gather', ', float16'), large('scatter', ''), planes('scatter', ', float16'), large('scatter', ', float16')))}

Every bit the CPU's: ${Object.entries(cases)
    .map(([variant, counted]) => `${variant}: ${counted}`)
    .join('; ')}.

What the last block read one after another cost most, half a microsecond to two of each step. Of these the kernels now have: parameters read ahead, a group's results read at once (all 1024, by
all threads of a block), halves kept as stored in room for eight blocks, moves without types: machine 3 says what a step takes with all of that. Storing rows last, so that a block
that counts itself need not wait for them, takes longer at every size: what is stored early is under way while the sums are made.
`
}

writeFileSync(
  file,
  `# On GPUs

Written by \`node scripts/gpu-doc.mjs\` from what \`npm run verify:gpu\` recorded; [bench/gpu](../bench/gpu/README.md) says how to run it on a machine without a network.

A launch is timed between two events with many others; "replayed" is the same launch in a CUDA graph, which leaves no gaps; "of a copy" compares with a copy on the
device that reads and writes as many bytes. A network as small as the bundled one waits for its launches: a batch costs hardly more than one picture, and as the members of a batch skip steps of their
own, there is less to win in one. Planes (channels first) are moved for every other token: each access of 32 bytes brings twice what is wanted, and memory that is written a part of it reads the rest first (the cache does not, hence more than 100 %), so a copy's rate is out of reach; "of the
sectors touched" compares with a copy of all that. A step of a picture's latents takes as long as a few accesses of memory after one another: reading, one sum per block, and a last sum over
those; that is about what a copy of the smaller steps takes as a whole where it runs from the GPU's cache (18 MiB in float16: 5 µs), so these stay behind it. A large step as PyTorch operations takes about six times as long, each bound by
the bytes it moves; of latents, where launches and accesses take the time, it is up to ten times.

${[...files.map(part), ...changed.map(changes)].join('\n') || '**Not measured.**\n'}`,
)
console.log(`${file} is written`)
