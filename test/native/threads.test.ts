import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { availableCpus, networkThreads, type Surroundings } from '../../ts/native/threads.ts'

/** What `found` says on a machine of 64 CPUs whose files say this. */
function where(files: Readonly<Record<string, string>>, bound: number, found: (surroundings: Surroundings) => number): number {
  const root = mkdtempSync(join(tmpdir(), 'sada-'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const count = found({ root, bound, machine: 64 })
  rmSync(root, { recursive: true })
  return count
}

const cpusWhere = (files: Readonly<Record<string, string>>, bound = 64): number => where(files, bound, availableCpus)

test('without control groups it is what the process is bound to', () => {
  assert.is(cpusWhere({}), 64)
  assert.is(cpusWhere({}, 3), 3)
})

test('version 2: the least of the own group and those above it, a part of a CPU counts as one', () => {
  const own = { 'proc/self/cgroup': '0::/user.slice/app.scope\n' }
  const of = (path: string, text: string) => ({ [`sys/fs/cgroup/${path}`]: text })
  assert.is(cpusWhere(own), 64)
  assert.is(cpusWhere({ ...own, ...of('user.slice/app.scope/cpu.max', 'max 100000\n') }), 64)
  assert.is(cpusWhere({ ...own, ...of('user.slice/app.scope/cpu.max', '200000 100000\n') }), 2)
  assert.is(cpusWhere({ ...own, ...of('user.slice/app.scope/cpu.max', '150000 100000\n') }), 2)
  assert.is(cpusWhere({ ...own, ...of('user.slice/app.scope/cpu.max', '1000 100000\n') }), 1)
  const above = of('user.slice/cpu.max', '300000 100000\n')
  assert.is(cpusWhere({ ...own, ...above, ...of('user.slice/app.scope/cpu.max', '800000 100000\n') }), 3)
  // More than the machine has is no limit.
  assert.is(cpusWhere({ ...own, ...above }, 2), 2)
})

test("in a container its own group is the mount's top, whatever its path is called outside", () => {
  const limit = { 'sys/fs/cgroup/cpu.max': '400000 100000\n' }
  for (const path of ['/', '/../..', '/docker/0123456789ab'])
    assert.is(cpusWhere({ 'proc/self/cgroup': `0::${path}\n`, ...limit }), 4, path)
})

test('version 1: the controller of processor time, alone or with its account; -1 is no limit', () => {
  for (const controllers of ['cpu', 'cpu,cpuacct', 'cpuacct,cpu'])
    for (const [quota, cpus] of [
      ['250000', 5],
      ['-1', 64],
    ] as const) {
      const groups = `5:memory:/x\n4:cpuset:/x\n3:${controllers}:/docker/abc\n2:cpuacct:/x\n0::/\n`
      const limit = { 'sys/fs/cgroup/cpu/cpu.cfs_quota_us': quota, 'sys/fs/cgroup/cpu/cpu.cfs_period_us': '50000\n' }
      assert.is(cpusWhere({ 'proc/self/cgroup': groups, ...limit }), cpus, `${controllers} ${quota}`)
    }
})

test('files that say something else are no limit', () => {
  for (const text of ['', 'max', 'x y', '-5 100000', '100000', '100000 0'])
    assert.is(cpusWhere({ 'proc/self/cgroup': '0::/\nnonsense\n', 'sys/fs/cgroup/cpu.max': text }), 64, text)
})

test('without a limit the engine has its own way; with one it gets that many threads, and no more than there are cores', () => {
  const threadsWhere = (files: Readonly<Record<string, string>>, bound: number): number =>
    where(files, bound, (surroundings) => networkThreads(0, surroundings))
  const siblings = { 'sys/devices/system/cpu/smt/active': '1\n' }
  for (const [bound, ofCores, ofSiblings] of [
    [64, 0, 0],
    [63, 63, 32],
    [32, 32, 32],
    [31, 31, 31],
    [1, 1, 1],
  ])
    assert.equal([threadsWhere({}, bound), threadsWhere(siblings, bound)], [ofCores, ofSiblings], `${bound}`)
})

test('threads that are asked for are those', () => {
  for (const threads of [1, 7, 1024]) assert.is(networkThreads(threads), threads)
})

test.run()
