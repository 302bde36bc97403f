// The package as its users meet it: packs it, installs the archive into an empty folder (no scripts, nothing from this checkout) and uses
// it from ES modules, CommonJS, TypeScript, a shell and as an Electron app would.
//
//   node scripts/test-package.mjs          after npm run build
import { strict as assert } from 'node:assert'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const consumer = join(root, 'test', 'package', 'consumer')
const folder = mkdtempSync(join(tmpdir(), 'sada-package-'))
// Spaces, accents and a bracket in the path, as in users' folders.
const app = join(folder, 'Mës (programs)', 'an app')
const installed = join(app, 'node_modules', 'sada')

/** With the addons and runtimes of four platforms. */
const MOST_MEGABYTES = 75
const CUDA = 'prebuilt/linux-x64/libsada_cuda.so'
const MOST_IMPORT_MS = 40
const MOST_IMPORTED_FILES = 2

function run(command, args, { cwd = app, env = {}, code = 0 } = {}) {
  const clean = { ...process.env, NODE_OPTIONS: undefined, NODE_PATH: undefined, ...env }
  const ended = spawnSync(command, args, {
    cwd,
    env: clean,
    encoding: 'utf8',
    timeout: 240_000,
    maxBuffer: 2 ** 26,
  })
  const said = `${ended.stdout}${ended.stderr}`
  assert.equal(
    ended.status,
    code,
    `${command} ${args.join(' ')}\nended with ${ended.signal ?? ended.status ?? ended.error}\n${said}`,
  )
  return { ...ended, said }
}
const node = (args, options) => run(process.execPath, args, options)
const module = (code, options) => node(['--input-type=module', '-e', code], options).stdout.trim()
const script = (code, options) => node(['-e', code], options).stdout.trim()
const binary = (name, args, options) => run(join(app, 'node_modules', '.bin', name), args, options)

let archive
const tests = {
  'the archive holds what it should and nothing else'() {
    const [packed] = JSON.parse(
      run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { cwd: root }).stdout,
    )
    archive = join(folder, packed.filename)
    const paths = packed.files.map(({ path }) => path)
    const required = [
      'package.json',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'THIRD_PARTY_NOTICES.md',
      'dist/index.js',
      'dist/index.mjs',
      'dist/metrics/index.mjs',
      'dist/metrics/index.d.mts',
    ]
    required.push(
      'dist/index.d.ts',
      'dist/index.d.mts',
      'dist/cli/sada.js',
      'dist/cli/sada-bench.js',
      'models/avatar/MODEL_CARD.md',
      'bench/sada-bench.schema.json',
    )
    // Every platform that was built, this one first of all.
    const platforms = readdirSync(join(root, 'prebuilt'))
    assert.ok(platforms.includes(`${process.platform}-${process.arch}`), platforms.join())
    for (const platform of platforms) {
      const runtime =
        { darwin: 'libonnxruntime.1.dylib', win32: 'onnxruntime.dll' }[platform.split('-')[0]] ?? 'libonnxruntime.so.1'
      const names = ['sada.node', runtime, 'onnxruntime-LICENSE', 'onnxruntime-ThirdPartyNotices.txt']
      required.push(...names.map((name) => `prebuilt/${platform}/${name}`))
    }
    if (existsSync(join(root, CUDA))) required.push(CUDA)
    else console.log(`SKIPPED: ${CUDA} is not built; publishing builds it, and "npm run build:cuda"`)
    assert.deepEqual(
      required.filter((path) => !paths.includes(path)),
      [],
      'missing from the archive',
    )
    const expected =
      /^(dist|prebuilt|docs|examples|models\/avatar|models\/metrics)\/|^(bench\/(sada-bench\.schema|published)\.json|package\.json|[A-Z_]+(\.md)?)$/
    assert.deepEqual(
      paths.filter(
        (path) =>
          !expected.test(path) ||
          /\.(tsbuildinfo|map)$|\.test\.|robot\.png/.test(path) ||
          // Python comes for the converters of metrics' networks alone, which their users run.
          (path.endsWith('.py') && !path.startsWith('models/metrics/')),
      ),
      [],
      'should not be in the archive',
    )
    const megabytes = packed.size / 1e6
    console.log(
      `  ${megabytes.toFixed(1)} MB packed, ${(packed.unpackedSize / 1e6).toFixed(1)} MB unpacked, ${paths.length} files`,
    )
    assert.ok(megabytes <= MOST_MEGABYTES, `${megabytes} MB`)
    const { scripts, gypfile } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    assert.equal(gypfile, false)
    assert.deepEqual(
      Object.keys(scripts).filter((name) => /^(pre|post)?install$/.test(name)),
      [],
    )
  },

  'it installs without scripts, without development dependencies'() {
    mkdirSync(app, { recursive: true })
    writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true }')
    const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', archive]
    run('npm', args)
    for (const name of ['onnxruntime-node', 'typescript', 'node-gyp', 'uvu'])
      assert.ok(!existsSync(join(app, 'node_modules', name)), name)
  },

  async 'publint finds nothing'() {
    const { messages } = await publint({ pkgDir: installed, strict: true, pack: false })
    assert.deepEqual(messages, [])
  },

  'ES modules and CommonJS get the same objects'() {
    const keys =
      "JSON.stringify(Object.keys(sada).filter((key) => !['default', '__esModule', 'module.exports'].includes(key)).sort())"
    const [esm, cjs] = [
      module(`import * as sada from 'sada'; console.log(${keys})`),
      script(`const sada = require('sada'); console.log(${keys})`),
    ]
    assert.equal(esm, cjs)
    assert.ok(JSON.parse(esm).includes('load') && JSON.parse(esm).includes('SadaError'), esm)
    const same =
      "import * as esm from 'sada'; import { createRequire } from 'node:module'; const cjs = createRequire(import.meta.url)('sada');"
    const code = `${same} console.log(Object.keys(cjs).every((key) => esm[key] === cjs[key]))`
    for (const name of ['sada', 'sada/metrics']) {
      writeFileSync(join(app, 'same.mjs'), code.replaceAll("'sada'", `'${name}'`))
      assert.equal(node(['same.mjs']).stdout.trim(), 'true')
    }
    const metrics = module("import * as metrics from 'sada/metrics'; console.log(Object.keys(metrics).sort().join())")
    assert.equal(metrics, 'InceptionMemory,METRICS,MetricNetworks,fid,kid,psnr,sampleBias,sampleOf,ssim')
  },

  'the schema of figures is found by its name'() {
    assert.equal(script("console.log(require('sada/bench/sada-bench.schema.json').title)"), 'Result of sada-bench')
  },

  'importing loads no native code, the first run does'() {
    const libraries = 'process.report.getReport().sharedObjects.filter((path) => /\\.node$|onnxruntime/.test(path)).length'
    const sampling =
      "{ scheduler: { _class_name: 'EulerDiscreteScheduler' }, steps: 2, shape: [1, 4], seed: 1, network: ({ sample }) => sample }"
    const code = `import { sample } from 'sada'; const before = ${libraries}; await sample(${sampling}); console.log(before, ${libraries})`
    assert.equal(module(code), '0 1')
    const metrics = `import { psnr, MetricNetworks } from 'sada/metrics'; psnr([0], [1]); new MetricNetworks(); console.log(${libraries})`
    assert.equal(module(metrics), '0')
  },

  'importing is fast'() {
    // What is ours of an import's cost is what it reads; how long that takes depends on the machine as well.
    const files = "console.log(Object.keys(require.cache).filter((path) => path.includes('node_modules')).length)"
    const read = Number(script(`require('sada'); ${files}`))
    assert.ok(read <= MOST_IMPORTED_FILES, `${read} files`)

    // `node -e 0`, and with the import: in turns, so that both meet the same machine, and the least of each, as others only add to it.
    const time = (args) => {
      const from = performance.now()
      node(args)
      return performance.now() - from
    }
    const [bare, esm, cjs] = [[], [], []]
    for (let k = 0; k < 15; k++) {
      bare.push(time(['--input-type=module', '-e', '0']))
      esm.push(time(['--input-type=module', '-e', "import 'sada'"]))
      cjs.push(Number(script("const from = performance.now(); require('sada'); console.log(performance.now() - from)")))
    }
    const start = Math.min(...bare)
    const cost = Math.min(...esm) - start
    console.log(
      `  import 'sada': ${cost.toFixed(1)} ms over a bare start of ${start.toFixed(1)} ms; require: ${Math.min(...cjs).toFixed(1)} ms`,
    )
    // A machine on which Node itself takes longer than the limit is given as long as Node takes.
    assert.ok(cost <= Math.max(MOST_IMPORT_MS, start), `${cost} ms`)
  },

  'TypeScript consumers compile under node16, bundler and node10 resolution, and run'() {
    cpSync(consumer, app, { recursive: true })
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const roots = ['--typeRoots', join(root, 'node_modules', '@types')]
    const strictest = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false']
    const compile = (files, ...options) => {
      // As TypeScript has it from version 6 on: no types but those that are asked for.
      writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions: { types: [] }, files }))
      node([tsc, '-p', '.', ...strictest, '--target', 'es2022', '--lib', 'es2022', ...roots, ...options])
    }
    compile(['commonjs.cts', 'module.mts'], '--module', 'node16', '--outDir', 'out')
    compile(['metrics.mts'], '--module', 'node16', '--noEmit')
    compile(['module.mts'], '--module', 'esnext', '--moduleResolution', 'bundler', '--noEmit')
    compile(['commonjs.cts'], '--module', 'commonjs', '--moduleResolution', 'node10', '--noEmit')
    assert.equal(node(['out/commonjs.cjs']).stdout.trim(), 'UNKNOWN_NAME')
    assert.match(node(['out/module.mjs']).stdout, /64 2\nINVALID_ARGUMENT\ntrue step,step,result\ntrue\ntrue\n$/)
  },

  'the binaries run'() {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    assert.equal(binary('sada', ['--version']).stdout.trim(), version)
    assert.equal(binary('sada-bench', ['--version']).stdout.trim(), version)
    binary('sada', ['doctor'])
    binary('sada', ['a teal robot with round eyes', '--steps', '4', '-o', 'x.png'])
    assert.equal(readFileSync(join(app, 'x.png')).subarray(1, 4).toString(), 'PNG')
    const bench = [
      '--quick',
      '--steps',
      '6',
      '--samples',
      '1',
      '--scheduler',
      'dpm++',
      '--json',
      'bench.json',
      '--html',
      'bench.html',
    ]
    binary('sada-bench', bench)
    assert.equal(JSON.parse(readFileSync(join(app, 'bench.json'), 'utf8')).schema, 'sada-bench/1')
    assert.match(readFileSync(join(app, 'bench.html'), 'utf8'), /^<!doctype html>/i)
  },

  'examples run, the Electron sampler too'() {
    cpSync(join(installed, 'examples'), app, { recursive: true })
    assert.match(node(['sampler-in-node.cjs']).stdout, /^64×64, 12288 bytes, 50 steps\n$/)
  },

  'from an archive folder the addon is taken from beside it'() {
    const [archived, unpacked] = ['app.asar', 'app.asar.unpacked'].map((name) => join(folder, 'resources', name, 'node_modules'))
    cpSync(join(app, 'node_modules'), archived, { recursive: true })
    mkdirSync(join(unpacked, 'sada'), { recursive: true })
    renameSync(join(archived, 'sada', 'prebuilt'), join(unpacked, 'sada', 'prebuilt'))
    const code =
      "require('sada').load('avatar').then(async (pipeline) => { console.log(pipeline.name); await pipeline.dispose() })"
    assert.equal(script(code, { cwd: dirname(archived) }), 'avatar')
  },

  'without its addon it says where it looked'() {
    renameSync(join(installed, 'prebuilt'), join(installed, 'moved'))
    const { said } = binary('sada', ['a kid', '-o', 'y.png'], { code: 3 })
    assert.ok(said.includes(join(installed, 'prebuilt', `${process.platform}-${process.arch}`, 'sada.node')), said)
    assert.ok(!existsSync(join(app, 'y.png')))
    binary('sada', ['doctor'], { code: 3 })
  },
}

const totals = { passed: 0, failed: 0 }
for (const [name, test] of Object.entries(tests)) {
  const from = performance.now()
  try {
    await test()
    totals.passed++
    console.log(`✔ ${name}  ${((performance.now() - from) / 1000).toFixed(1)} s`)
  } catch (error) {
    totals.failed++
    console.log(`✘ ${name}\n${error.stack}`)
  }
}
rmSync(folder, { recursive: true, force: true })
console.log(`${totals.passed} passed, ${totals.failed} failed`)
process.exitCode = totals.failed > 0 ? 1 : 0
