import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Request } from '../../ts/families/family.ts'
import { scheduleFor } from '../../ts/families/scheduler.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'

// Which of a schedule's steps a request takes.

const { config } = parseSchedulerConfig({ _class_name: 'EulerDiscreteScheduler', timestep_spacing: 'leading', steps_offset: 1 })
const request: Request = { prompts: ['a'], seed: 0, steps: 8, guidance: 1, scheduler: {} }
const timesteps = (share: Partial<Request>): number[] => [
  ...scheduleFor(config, { ...request, ...share }, { steps: request.steps }).timesteps,
]

test('a share of the noise levels ends at a timestep that is rounded as Python rounds: of halves to the even one', () => {
  const all = [876, 751, 626, 501, 376, 251, 126, 1]
  assert.equal(timesteps({}), all)
  // 1000 − 373.5 = 626.5 rounds to 626, which is a timestep; 1000 − 623.5 = 376.5 to 376; 1000 − 374.5 = 625.5 to 626.
  for (const [share, count] of [
    [0.3735, 3],
    [0.6235, 5],
    [0.3745, 3],
    [0.3755, 3],
    [0.373, 2],
  ]) {
    assert.equal(timesteps({ denoisingEnd: share }), all.slice(0, count), `to ${share}`)
    assert.equal(timesteps({ denoisingStart: share }), all.slice(count), `from ${share}`)
  }
})

test.run()
