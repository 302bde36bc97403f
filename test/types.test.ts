import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const root = join(__dirname, '..')

// `npm run build` has checked ts/. Here, beside other tests: TypeScript's compiler keeps one core busy for long.
test('tests, benches, examples and scripts type-check against the declarations of dist/', () => {
  const { status, stdout } = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', root], {
    encoding: 'utf8',
  })
  assert.is(status, 0, stdout)
})

test.run()
