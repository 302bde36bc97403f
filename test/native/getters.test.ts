import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Engine, EngineOp } from '../../ts/native/types.ts'
import { addon, codeOf, fixture, newEngine } from '../support/engines.ts'

/** Arguments that run code of the caller's while they are read. */

const ending: [name: string, call: (engine: Engine) => unknown][] = [
  [
    'load',
    (engine) =>
      engine.load({
        get path() {
          void engine.dispose()
          return fixture('add_matmul')
        },
      }),
  ],
  [
    'run',
    (engine) => {
      const workspace = new addon.Workspace()
      const [from, to] = [0, 1].map(() => ({ tensor: workspace.allocate(8), offset: 0 }))
      const copy: EngineOp = { kind: 'copy', from, to, length: 8 }
      const op = Object.defineProperty({ ...copy }, 'to', { get: () => (void engine.dispose(), to) })
      return engine.run(workspace, [op])
    },
  ],
]
for (const [name, call] of ending) {
  test(`${name}: an engine that ends while its arguments are read takes no job`, async () => {
    const before = addon.counters()
    const engine = newEngine()
    assert.throws(
      () => call(engine),
      (error: Error & { code?: string }) => error.code === 'DISPOSED',
    )
    assert.is(await codeOf(engine.dispose()), 'resolved')
    const { engines, sessions, jobs } = addon.counters()
    assert.equal([engines, sessions, jobs], [before.engines, before.sessions, before.jobs])
  })
}

test.run()
