// Tests the CUDA kernels: compiled as C++ against an emulation of CUDA's execution model, under address and undefined-behaviour
// sanitizers, against the CPU backend bit for bit; then as the real library, built by nvcc, opened, and run where there is a GPU.
//
//   node scripts/test-cuda.mjs             all of it; parts that cannot run here say SKIPPED and why
//   node scripts/test-cuda.mjs --library   only builds the emulated library: build/cuda-emulated/libsada_cuda_emulated.so
//   node scripts/test-cuda.mjs --cases     only builds the cases as a program that is given a library, and says where it is
//
// CXX names the compiler, g++ where it does not.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SECTIONS } from './cuda-cases.mjs'
import { largeFrames } from './cuda-frames.mjs'
import { runLimited } from './limited.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const compiler = process.env.CXX ?? 'g++'
const isX64 = process.arch === 'x64'
const totals = { passed: 0, failed: 0, skipped: 0 }
// Under sanitizers all sections together compute for about ten minutes; a busy machine may take many times that.
const LIMITS = { cpuSeconds: 900, wallSeconds: 7200 }

const filesOf = (folder, matches) =>
  readdirSync(join(root, folder))
    .filter((file) => matches.test(file))
    .map((file) => join(root, folder, file))
const changed = (file) => (existsSync(file) ? statSync(file).mtimeMs : -Infinity)
const headers = ['cuda', 'native', 'native/math', 'native/cpu', 'test/native', 'test/cuda', 'test/cuda/emulation'].flatMap(
  (folder) => filesOf(folder, /\.(h|cuh|inl)$/),
)

const kernels = filesOf('cuda', /\.cu$/).filter((file) => basename(file) !== 'bench.cu')
const emulation = filesOf('test/cuda/emulation', /\.cpp$/)
const cases = filesOf('test/cuda', /^cases.*\.cpp$/)
const cpu = filesOf('native/cpu', /\.cpp$/).filter((file) => isX64 || !file.includes('x86_64'))

const common = ['-std=c++17', '-g', '-ffp-contract=off', '-Wall', '-Wextra', ...(isX64 ? ['-DSADA_X86_64_V3'] : [])]
// Kernels read four elements as one vector: nvcc allows that, C++ by its letter does not.
const emulated = [`-I${join(root, 'test/cuda/emulation')}`, '-fno-strict-aliasing', '-Wno-unknown-pragmas', '-DSADA_EMULATED']
const sanitized = ['-O1', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']
const named = '-DSADA_DEVICE_NAME="cuda-emulated"'

const start = (command, args, options = {}) =>
  new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'inherit', cwd: root, ...options })
    let output = ''
    child.stdout?.on('data', (text) => (output += text))
    child.stderr?.on('data', (text) => (output += text))
    child.on('error', (error) => resolve({ code: -1, output: String(error) }))
    child.on('close', (code, signal) => resolve({ code: code ?? signal, output }))
  })

/** Runs jobs, as many at a time as there are processors. */
async function together(jobs) {
  const left = [...jobs]
  const next = async () => {
    for (let job = left.shift(); job; job = left.shift()) await job()
  }
  await Promise.all(Array.from({ length: availableParallelism() }, next))
}

/** Compiles what is older than its source or any header, and links; the result's path, or undefined where it does not build. */
async function build(name, sources, flags, linked) {
  const folder = join(root, 'build', 'cuda-emulated', basename(name))
  mkdirSync(`${folder}.objects`, { recursive: true })
  const newest = Math.max(...headers.map(changed))
  let failed = false
  const objects = sources.map((source) => join(`${folder}.objects`, `${basename(source)}.o`))
  await together(
    sources.map((source, k) => async () => {
      if (failed || changed(objects[k]) > Math.max(changed(source), newest)) return
      const wide = source.includes('x86_64_v3') ? ['-mavx2', '-mfma'] : []
      const { code } = await start(compiler, [...common, ...flags, ...wide, '-x', 'c++', '-c', source, '-o', objects[k]])
      failed ||= code !== 0
    }),
  )
  if (!failed) failed = (await start(compiler, [...linked, ...objects, '-lpthread', '-ldl', '-o', folder])).code !== 0
  return failed ? undefined : folder
}

function fail(what) {
  console.log(`FAIL ${what}`)
  totals.failed += 1
}

function skip(what, why) {
  console.log(`SKIPPED ${what}: ${why}`)
  totals.skipped += 1
}

/** Adds up what a program counted; one that ends badly counts as a failure. */
function count(name, { code, output }) {
  const [passed, failed] = (/^(\d+) passed, (\d+) failed$/m.exec(output) ?? [0, 0, 0]).slice(1).map(Number)
  const broken = (code !== 0 || passed === 0) && failed === 0
  totals.passed += passed
  totals.failed += failed + (broken ? 1 : 0)
  console.log(`${name}: ${passed} passed, ${failed} failed${broken ? `; ended with ${code}` : ''}`)
  if (code !== 0) console.log(output)
  else for (const line of output.split('\n').filter((each) => /^(SKIPPED|without)/.test(each))) console.log(line)
}

async function testEmulated() {
  const program = await build(
    'cases',
    [...kernels, ...emulation, ...cases, ...cpu],
    [...emulated, ...sanitized],
    ['-fsanitize=address,undefined'],
  )
  if (!program) return fail('the kernels as C++: did not build')
  // Allocations that must fail are among the cases.
  const env = { ...process.env, ASAN_OPTIONS: 'allocator_may_return_null=1', UBSAN_OPTIONS: 'print_stacktrace=1' }
  await together(
    ['emulation', ...SECTIONS].map((section) => async () => {
      count(`emulated kernels, ${section}`, await runLimited(program, [section], { ...LIMITS, env }))
    }),
  )
}

function buildLibrary() {
  const flags = [...emulated, '-O2', '-fPIC', '-fvisibility=hidden', named]
  return build('libsada_cuda_emulated.so', [...kernels, ...emulation], flags, ['-shared'])
}

/**
 * The program of the cases that opens a library by its path. Its C++ library is the machine's: what that takes of GCC 11 is in Ubuntu 22.04 and
 * RHEL 9, while a static one asks for the glibc that it was made with.
 */
const buildCasesOnDevice = () =>
  build('cases-on-device', [...cases.filter((file) => !file.includes('emulation')), ...cpu], ['-O1'], [])

/** Briefly: the same cases ran under sanitizers. */
async function testEmulatedLibrary(program) {
  const library = await buildLibrary()
  if (!library) return fail('the emulated library: did not build')
  for (const section of ['device', 'sada', 'tokens'])
    count(`the emulated library, ${section}`, await runLimited(program, [library, section], LIMITS))
}

function testFrames() {
  const { kernels: found, large } = largeFrames(kernels)
  const isGood = found > 0 && large.length === 0
  totals[isGood ? 'passed' : 'failed'] += 1
  console.log(`stack frames of ${found} kernels: ${isGood ? 'small' : `FAIL ${large.join(', ') || 'none were found'}`}`)
}

async function testReal(program) {
  const nvcc = spawnSync('nvcc', ['--version'])
  if (nvcc.error || nvcc.status !== 0) return skip('the real library', 'there is no nvcc')
  const built = await start(process.execPath, [join(root, 'scripts', 'build-cuda.mjs')], { stdio: 'pipe' })
  if (built.code !== 0) return fail(`build:cuda ended with ${built.code}\n${built.output}`)
  testFrames()
  const library = join(root, 'build', 'cuda', 'Release', 'libsada_cuda.so')
  const loading = await build('loading', [join(root, 'test/cuda/loading.cpp')], ['-O1'], [])
  if (!loading) return fail('the program that opens the real library: did not build')
  const run = await runLimited(program, [library], LIMITS)
  const isWithoutGpu = run.code === 3
  count('the real library', await start(loading, isWithoutGpu ? [library] : [library, 'gpu'], { stdio: 'pipe' }))
  if (isWithoutGpu) skip('the real kernels', run.output.trim())
  else count('the real kernels', run)
}

if (process.argv.includes('--library') || process.argv.includes('--cases')) {
  const built = await (process.argv.includes('--library') ? buildLibrary() : buildCasesOnDevice())
  console.log(built ?? 'It did not build.')
  process.exitCode = built ? 0 : 1
} else {
  await testEmulated()
  const program = await buildCasesOnDevice()
  if (program) {
    await testEmulatedLibrary(program)
    await testReal(program)
  } else fail('the cases for libraries: did not build')
  const { passed, failed, skipped } = totals
  console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`)
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0
}
