import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import type { Request } from '../../ts/families/family.ts'
import { Folder } from '../../ts/families/folder.ts'
import {
  FLOW_MATCHING,
  flowAdditions,
  partOf,
  scheduleFor,
  Schedulers,
  shiftFor,
  VARIANCE_PRESERVING,
} from '../../ts/families/scheduler.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'

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

const { config: flow } = parseSchedulerConfig({ _class_name: 'FlowMatchEulerDiscreteScheduler', shift: 3 })
const picture = { width: 1, height: 1, data: new Uint8Array(1) }

test('from a picture a whole number of steps is cut off, in flow matching what is left over of one is made', () => {
  const steps = (of: typeof config, share: Partial<Request>): number =>
    scheduleFor(of, { ...request, ...share }, { steps: 8 }).steps
  for (const [share, ofNoise, ofFlow] of [
    [{ init: picture, strength: 0.6 }, 4, 5],
    [{ init: picture, strength: 0.5 }, 4, 4],
    [{ init: picture, strength: 1 }, 8, 8],
    [{ init: picture }, 6, 7],
    [{ init: picture, mask: picture }, 8, 8],
    [{ strength: 0.5 }, 8, 8],
  ] as const)
    assert.equal([steps(config, share), steps(flow, share)], [ofNoise, ofFlow], JSON.stringify(share))
  const none = (share: Partial<Request>) => () => scheduleFor(config, { ...request, ...share }, { steps: 8 })
  assert.throws(none({ init: picture, strength: 0 }), /"strength" to be such that at least one of the 8 steps is left/)
  assert.throws(none({ init: picture, denoisingStart: 1 }), /"denoisingStart"/)
  assert.throws(none({ denoisingEnd: 0 }), /"denoisingEnd"/)
})

test('a part of a schedule has the levels of its steps and of where it ends; its first step leans on none', () => {
  const { config: dpm } = parseSchedulerConfig({ _class_name: 'DPMSolverMultistepScheduler' })
  const whole = createSchedule(dpm, { steps: 8 })
  const part = partOf(whole, 2, 5)
  assert.equal([part.steps, part.timesteps, part.sigmas], [3, whole.timesteps.slice(2, 5), whole.sigmas.slice(2, 6)])
  assert.equal([part.levels, part.times], [whole.levels.slice(2, 6), whole.times.slice(2, 6)])
  assert.equal([part.betaAt, part.orders], [whole.betaAt.slice(2, 5), [1, 2, 2]])
  assert.is(partOf(whole, 2).steps, 6)
})

test('noise levels that follow the number of tokens: a line between two of them, as the configuration says, else as diffusers’ pipelines', () => {
  const dynamic = { _class_name: 'FlowMatchEulerDiscreteScheduler', use_dynamic_shifting: true }
  const own = { ...dynamic, base_shift: 0.25, max_shift: 1.25, base_image_seq_len: 100, max_image_seq_len: 500 }
  // DPM-Solver++ has no fields for the line.
  const other = { _class_name: 'DPMSolverMultistepScheduler', use_flow_sigmas: true, prediction_type: 'flow_prediction' }
  for (const [fields, ...points] of [
    [dynamic, [256, 0.5], [2176, 0.825], [4096, 1.15]],
    [own, [100, 0.25], [300, 0.75], [500, 1.25]],
    [{ ...other, use_dynamic_shifting: true }, [256, 0.5], [2176, 0.83], [4096, 1.16]],
  ] as const) {
    for (const [tokens, mu] of points)
      assert.ok(Math.abs(shiftFor(parseSchedulerConfig(fields).config, tokens, 1.16)! - mu) < 1e-12, `${tokens} ${mu}`)
  }
  for (const still of [flow, config, parseSchedulerConfig(other).config]) assert.is(shiftFor(still, 4096, 1.16), undefined)
})

test('DPM-Solver++ for flow matching keeps the shift of the folder, whichever class saved it', async () => {
  const root = mkdtempSync(join(tmpdir(), 'sada-scheduler-'))
  mkdirSync(join(root, 'scheduler'))
  // `lambda_min_clipped` as diffusers saves it; timesteps are diffusers' with "flow_shift" 3.
  const shifted = '"use_flow_sigmas": true, "prediction_type": "flow_prediction", "flow_shift": 3.0'
  for (const [text, own] of [
    ['{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}', 'flow-euler'],
    [`{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, ${shifted}}`, 'dpm++'],
    [`{"_class_name": "UniPCMultistepScheduler", "solver_type": "bh2", ${shifted}}`, 'flow-euler'],
  ]) {
    writeFileSync(join(root, 'scheduler/scheduler_config.json'), text)
    const folder = await Folder.open(root)
    const schedulers = await Schedulers.load(folder, FLOW_MATCHING, await flowAdditions(folder))
    assert.is(schedulers.own, own)
    assert.equal(createSchedule(schedulers.configOf('dpm++'), { steps: 4 }).timesteps, [999, 899, 749, 499], text)
    const plain = schedulers.configOf('flow-euler')
    assert.ok(plain.solver === 'flow-euler' && plain.shift === 3, text)
  }
  rmSync(root, { recursive: true })
})

test('a folder whose scheduler says that its network knows other noise is refused, not run', async () => {
  const root = mkdtempSync(join(tmpdir(), 'sada-scheduler-'))
  mkdirSync(join(root, 'scheduler'))
  const load = async (own: string, names: typeof FLOW_MATCHING) => {
    writeFileSync(join(root, 'scheduler/scheduler_config.json'), JSON.stringify({ _class_name: own }))
    return Schedulers.load(await Folder.open(root), names)
  }
  for (const [own, names] of [
    ['EDMEulerScheduler', VARIANCE_PRESERVING],
    ['EDMDPMSolverMultistepScheduler', FLOW_MATCHING],
    ['FlowMatchHeunDiscreteScheduler', VARIANCE_PRESERVING],
    ['FlowMatchEulerDiscreteScheduler', VARIANCE_PRESERVING],
  ] as const)
    await load(own, names).then(
      () => assert.unreachable(own),
      ({ code, message }: SadaError) => assert.ok(code === 'UNSUPPORTED' && message.includes(`"${own}"`), message),
    )
  for (const own of ['DDIMScheduler', 'PNDMScheduler', 'DDPMScheduler', 'UniPCMultistepScheduler', 'LCMScheduler'])
    assert.is((await load(own, VARIANCE_PRESERVING)).own, 'dpm++', own)
  for (const own of ['FlowMatchHeunDiscreteScheduler', 'EulerDiscreteScheduler'])
    assert.is((await load(own, FLOW_MATCHING)).own, 'flow-euler', own)
  rmSync(root, { recursive: true })
})

test('a folder offers the schedulers that can have what its configuration asks for, and is refused where its own cannot', async () => {
  const root = mkdtempSync(join(tmpdir(), 'sada-scheduler-'))
  mkdirSync(join(root, 'scheduler'))
  const load = async (fields: object) => {
    writeFileSync(join(root, 'scheduler/scheduler_config.json'), JSON.stringify(fields))
    return Schedulers.load(await Folder.open(root), VARIANCE_PRESERVING)
  }
  // Euler has no thresholding and takes no notice of it, as diffusers' does not; nor of the order.
  for (const [fields, own] of [
    [{ _class_name: 'EulerDiscreteScheduler', thresholding: true }, 'euler'],
    [{ _class_name: 'DDIMScheduler', solver_order: 3 }, 'euler'],
  ] as const) {
    const schedulers = await load(fields)
    assert.equal([schedulers.own, schedulers.names], [own, ['euler', 'euler-ancestral']])
    assert.throws(
      () => schedulers.configOf('dpm++'),
      ({ code, argument }: SadaError) => code === 'INVALID_SCHEDULE' && argument === `scheduler.${Object.keys(fields)[1]}`,
    )
  }
  for (const fields of [
    { _class_name: 'DPMSolverMultistepScheduler', thresholding: true },
    { _class_name: 'DDIMScheduler', prediction_type: 'flow' },
  ])
    await load(fields).then(
      () => assert.unreachable(fields._class_name),
      ({ code }: SadaError) => assert.is(code, 'INVALID_SCHEDULE'),
    )
  rmSync(root, { recursive: true })
})

test('a configuration of a call makes the noise that the network was trained on, or is refused with what does', async () => {
  const root = mkdtempSync(join(tmpdir(), 'sada-scheduler-'))
  mkdirSync(join(root, 'scheduler'))
  const load = async (own: object, names: typeof FLOW_MATCHING) => {
    writeFileSync(join(root, 'scheduler/scheduler_config.json'), JSON.stringify(own))
    const folder = await Folder.open(root)
    return Schedulers.load(folder, names, names === FLOW_MATCHING ? await flowAdditions(folder) : {})
  }
  const [euler, ancestral, dpm, flowEuler] = [
    'EulerDiscrete',
    'EulerAncestralDiscrete',
    'DPMSolverMultistep',
    'FlowMatchEulerDiscrete',
  ].map((name) => ({ _class_name: `${name}Scheduler` }))
  const flowDpm = { ...dpm, use_flow_sigmas: true, prediction_type: 'flow_prediction' }
  const [preserving, matching] = [
    [euler, ancestral, dpm, { ...dpm, algorithm_type: 'sde-dpmsolver++' }],
    [flowEuler, flowDpm, { ...flowDpm, algorithm_type: 'sde-dpmsolver++' }],
  ]
  for (const [own, names, fit, other, said] of [
    [euler, VARIANCE_PRESERVING, preserving, matching, /a configuration of variance-preserving noise.* euler, /],
    [flowEuler, FLOW_MATCHING, matching, preserving, /a configuration of flow matching.* flow-euler, dpm\+\+, /],
    [dpm, FLOW_MATCHING, matching, preserving, /a configuration of flow matching/],
    // A network of a family of variance-preserving noise that was trained on by flow matching: its folder says so.
    [flowDpm, VARIANCE_PRESERVING, matching, preserving, /a configuration of flow matching/],
  ] as const) {
    const schedulers = await load(own, names)
    for (const given of fit) assert.equal(schedulers.configOf(given), parseSchedulerConfig(given).config)
    for (const given of other)
      assert.throws(
        () => schedulers.configOf(given),
        ({ code, argument, message }: SadaError) =>
          code === 'INVALID_ARGUMENT' &&
          argument === 'scheduler' &&
          said.test(message) &&
          message.includes(`"${given._class_name}"`),
      )
  }
  rmSync(root, { recursive: true })
})

test.run()
