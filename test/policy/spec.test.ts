import { join } from 'node:path'
import ts from 'typescript'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createPolicy, type PolicySpec } from '../../ts/policy/index.ts'
import type { KnownPolicy } from '../../ts/policy/spec.ts'
import type { SadaError } from '../../ts/errors.ts'

// The compiler takes what the package takes, and sees what it refuses: `npx tsc` checks the second part.

test('policies that the compiler takes are made', () => {
  const specs: KnownPolicy[] = [
    'none',
    'sada/poster',
    'teacache/flux',
    { name: 'sada', warmup: 10, prune: false },
    { name: 'sada', preset: 'poster', warmup: 10 },
    { name: 'sada/poster', warmup: 10 },
    { name: 'teacache', preset: 'flux', threshold: 0.2, warmup: undefined },
    { name: 'every-n', n: 3, order: 1 },
    { name: 'auto', target: { speedup: 2 } },
    { name: 'auto', target: { ms: 300 } },
    { name: 'auto', target: { psnrDb: 40 } },
    { name: 'auto', ms: 300 },
  ]
  const fromFile: PolicySpec = JSON.parse('{ "name": "every-n", "n": 4 }') as { name: string }
  for (const spec of [...specs, fromFile]) assert.type(createPolicy(spec).begin, 'function')
})

test('what the compiler refuses is refused at run time as well', () => {
  const misspelt: unknown[] = [
    // @ts-expect-error a name that no policy has
    'sadaa' satisfies KnownPolicy,
    // @ts-expect-error the same where any object is taken
    'sadaa' satisfies PolicySpec,
    // @ts-expect-error an option that it does not have
    { name: 'every-n', m: 3 } satisfies KnownPolicy,
    // @ts-expect-error a preset that it does not have
    { name: 'sada', preset: 'postr' } satisfies KnownPolicy,
    // @ts-expect-error a value of another kind
    { name: 'every-n', n: '3' } satisfies KnownPolicy,
    // @ts-expect-error a target that there is not
    { name: 'auto', target: { speedupp: 2 } } satisfies KnownPolicy,
    // @ts-expect-error a target of two of them
    { name: 'auto', target: { speedup: 2, ms: 300 } } satisfies KnownPolicy,
    // @ts-expect-error a target of none of them
    { name: 'auto', target: {} } satisfies KnownPolicy,
    // @ts-expect-error two targets, as options
    { name: 'auto', psnrDb: 40, ms: 300 } satisfies KnownPolicy,
    // @ts-expect-error an option beside the target
    { name: 'auto', target: { speedup: 2 }, ms: 300 } satisfies KnownPolicy,
    // @ts-expect-error a name without a target
    { name: 'auto' } satisfies KnownPolicy,
    // @ts-expect-error no recording
    { name: 'replay' } satisfies KnownPolicy,
  ]
  for (const spec of misspelt)
    assert.throws(
      () => createPolicy(spec as PolicySpec),
      ({ code }: SadaError) => code === 'UNKNOWN_NAME' || code === 'INVALID_ARGUMENT',
    )
})

test('what does not fit of a target is named as it was written', () => {
  const refusedAs = (policy: object, argument: string): void =>
    assert.throws(
      () => createPolicy({ name: 'auto', ...policy }),
      (error: SadaError) => error.code === 'INVALID_ARGUMENT' && error.argument === argument,
    )
  refusedAs({ target: { speedup: -1 } }, 'policy.target.speedup')
  refusedAs({ target: { speedup: undefined, ms: '5' } }, 'policy.target.ms')
  refusedAs({ speedup: -1 }, 'policy.speedup')
  refusedAs({ target: { speedup: 2 }, ms: -1 }, 'policy.ms')
})

test('of a target out of its range the range and the value are told, in whatever way it was written', () => {
  const range = { speedup: 'from 1 to 100', ms: 'above 0, at most 1000000000', psnrDb: 'above 0, at most 200' }
  for (const [name, said] of Object.entries(range)) {
    for (const value of [0, -1, ...(name === 'speedup' ? [0.99, 101] : [])]) {
      for (const [spec, argument] of [
        [{ target: { [name]: value } }, `policy.target.${name}`],
        [{ [name]: value }, `policy.${name}`],
      ] as const)
        assert.throws(
          () => createPolicy({ name: 'auto', ...spec }),
          ({ code, message, argument: named }: SadaError) =>
            code === 'INVALID_ARGUMENT' &&
            named === argument &&
            message === `Expected "${argument}" to be a number ${said}, received ${value}.`,
        )
    }
  }
  for (const [target, received] of [
    [{}, 'none of them'],
    [{ speedup: 2, ms: 100 }, 'speedup and ms'],
    [{ speedup: undefined, psnrDb: 40, ms: 100 }, 'psnrDb and ms'],
  ] as const)
    assert.throws(
      () => createPolicy({ name: 'auto', target }),
      ({ argument, message }: SadaError) =>
        argument === 'policy.target' &&
        message.startsWith(
          `Expected "policy.target" to be exactly one of speedup, ms and psnrDb, received ${received}. It is given as`,
        ),
    )
  // As the options of a recorded run have it.
  createPolicy({ name: 'auto', speedup: 1, ms: 0, psnrDb: 0 })
})

test('an editor completes the options of a policy, and those of a target', () => {
  assert.equal(completed(`{ name: 'every-n', | }`), ['n', 'order', 'preset', 'tail', 'warmup'])
  assert.equal(completed(`{ name: 'auto', target: { | } }`), ['ms', 'psnrDb', 'speedup'])
})

/** What the compiler's language service offers at the mark in a policy that may be any. */
function completed(policy: string): string[] {
  const file = join(__dirname, 'written.ts')
  const text = `import type { PolicySpec } from '../../dist/policy/spec'\nconst policy: PolicySpec = ${policy}`
  const service = ts.createLanguageService({
    getScriptFileNames: () => [file],
    getScriptVersion: () => '1',
    getScriptSnapshot: (name) => ts.ScriptSnapshot.fromString(name === file ? text.replace('|', '') : ts.sys.readFile(name)!),
    getCurrentDirectory: () => __dirname,
    getCompilationSettings: () => ({ strict: true, types: [], lib: ['lib.es2020.d.ts'] }),
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: ts.sys.fileExists,
    readFile: ts.sys.readFile,
  })
  const { entries } = service.getCompletionsAtPosition(file, text.indexOf('|'), {})!
  return entries.map(({ name }) => name).sort()
}

test.run()
