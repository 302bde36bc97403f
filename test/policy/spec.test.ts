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
})

test.run()
