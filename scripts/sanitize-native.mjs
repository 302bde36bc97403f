// Builds the addon's C++ (without its bindings) with test/native/cases*.cpp under sanitizers and runs it: addresses and undefined
// behaviour, then threads. Any report ends the program, which counts as a failure.
//
//   node scripts/sanitize-native.mjs          CXX names the compiler, g++ where it does not
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const compiler = process.env.CXX ?? 'g++'
const isX64 = process.arch === 'x64'
// Allocations that must fail are among the cases.
const options = 'allocator_may_return_null=1:halt_on_error=1'
const sanitizers = [
  { name: 'address-undefined', flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'] },
  { name: 'thread', flags: ['-fsanitize=thread'] },
]
const flags = [
  '-std=c++17',
  '-O1',
  '-g',
  '-fno-omit-frame-pointer',
  '-ffp-contract=off',
  '-Wall',
  '-Wextra',
  ...(isX64 ? ['-DSADA_X86_64_V3'] : []),
]

const filesOf = (folder, matches) =>
  readdirSync(join(root, folder))
    .filter((file) => matches.test(file))
    .map((file) => join(root, folder, file))
const headers = ['native', 'native/math', 'native/cpu', 'native/engine', 'test/native'].flatMap((folder) =>
  filesOf(folder, /\.(h|inl)$/),
)
const sources = [
  join(root, 'native/gpu.cpp'),
  join(root, 'native/pass_graphs.cpp'),
  ...filesOf('native/cpu', /\.cpp$/),
  ...filesOf('test/native', /^cases.*\.cpp$/),
].filter((file) => isX64 || !file.includes('x86_64'))

const changed = (file) => (existsSync(file) ? statSync(file).mtimeMs : -Infinity)

function compile(source, object, own) {
  if (changed(object) > Math.max(changed(source), ...headers.map(changed))) return Promise.resolve(0)
  const wide = source.includes('x86_64_v3') ? ['-mavx2', '-mfma'] : []
  const child = spawn(compiler, [...flags, ...wide, ...own, '-c', source, '-o', object], { stdio: 'inherit' })
  return new Promise((resolve) => child.on('close', resolve))
}

async function compileAll(folder, own) {
  const objects = sources.map((source) => join(folder, `${basename(source, '.cpp')}.o`))
  const left = sources.map((source, k) => [source, objects[k]])
  let failed = false
  const next = async () => {
    for (let job = left.shift(); job && !failed; job = left.shift()) if ((await compile(...job, own)) !== 0) failed = true
  }
  await Promise.all(Array.from({ length: availableParallelism() }, next))
  return failed ? undefined : objects
}

/** Whether this compiler has the sanitizer and its library. */
function has(own) {
  const { status } = spawnSync(compiler, [...own, '-x', 'c++', '-', '-o', '/dev/null'], {
    input: 'int main() {}',
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  return status === 0
}

function runCases(name, program, cpu) {
  const env = { ...process.env, SADA_CPU: cpu, ASAN_OPTIONS: options, TSAN_OPTIONS: options, UBSAN_OPTIONS: 'print_stacktrace=1' }
  const { status, signal, stdout, stderr } = spawnSync(program, { env, encoding: 'utf8', timeout: 300_000 })
  const [passed, failed] = (/^(\d+) passed, (\d+) failed$/m.exec(stdout) ?? [0, 0, 0]).slice(1).map(Number)
  const broken = status !== 0 && failed === 0
  totals.passed += passed
  totals.failed += failed + (broken ? 1 : 0)
  console.log(
    `${name}, ${cpu || 'best instruction set'}: ${passed} passed, ${failed} failed${broken ? `; ended with ${signal ?? status}` : ''}`,
  )
  if (status !== 0) console.log(stdout + stderr)
}

const totals = { passed: 0, failed: 0, skipped: 0 }
for (const { name, flags: own } of sanitizers) {
  if (!has(own)) {
    console.log(`SKIPPED ${name}: ${compiler} has no such sanitizer`)
    totals.skipped += 1
    continue
  }
  const folder = join(root, 'build', 'sanitized', name)
  mkdirSync(folder, { recursive: true })
  const objects = await compileAll(folder, own)
  const program = join(folder, 'cases')
  const linked =
    objects && spawnSync(compiler, [...own, ...objects, '-lpthread', '-ldl', '-o', program], { stdio: 'inherit' }).status === 0
  if (!linked) {
    console.log(`${name}: did not build`)
    totals.failed += 1
    continue
  }
  for (const cpu of ['', 'scalar']) runCases(name, program, cpu)
}
const { passed, failed, skipped } = totals
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
