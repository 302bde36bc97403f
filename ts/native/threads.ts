import { readFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { dirname, join, posix } from 'node:path'

/** Where it is asked, and how many CPUs the process is bound to: others for tests. */
export interface Surroundings {
  readonly root?: string
  readonly bound?: number
  readonly machine?: number
}

/**
 * CPUs that this process may use: those it is bound to, and no more than the control groups that it is in, a container's for one, give it
 * time for (a part of one counts as one). Node knows of control groups from 22.10 on.
 */
export function availableCpus({ root = '/', bound = availableParallelism() }: Surroundings = {}): number {
  const limits = groupFolders(root).map((folder) => Math.ceil(timeOf(folder)))
  return Math.max(1, Math.min(bound, ...limits))
}

/**
 * Threads that an engine is asked for: 0, its own default of one per physical core of the machine, where the process may use all of that;
 * else no more than that.
 */
export function networkThreads(threads = 0, surroundings: Surroundings = {}): number {
  if (threads !== 0) return threads
  const { root = '/', machine = (cpusOfMachine ??= cpus().length) } = surroundings
  const available = availableCpus(surroundings)
  if (available >= machine) return 0
  const threadsOfCore = read(join(root, 'sys/devices/system/cpu/smt/active')) === '1' ? 2 : 1
  return Math.max(1, Math.min(available, Math.floor(machine / threadsOfCore)))
}

let cpusOfMachine: number | undefined

/** Folders of the control groups of this process that may limit its time: each also lies within those above it. */
function groupFolders(root: string): string[] {
  const groups = read(join(root, 'proc/self/cgroup')).matchAll(/^\d+:([^:\n]*):(\/.*)$/gm)
  const folders: string[] = []
  for (const [, controllers, path] of groups) {
    // Version 2 names no controllers.
    if (controllers !== '' && !controllers.split(',').includes('cpu')) continue
    const mount = join(root, 'sys/fs/cgroup', controllers === '' ? '' : 'cpu')
    // A container sees its own group as the mount's top, whatever its path is outside.
    for (let group = posix.normalize(path); ; group = dirname(group)) {
      folders.push(join(mount, group))
      if (group === dirname(group)) break
    }
  }
  return folders
}

/** Processor time that a control group has, in CPUs; infinite where it has no limit. */
function timeOf(folder: string): number {
  const [quota, period] = read(join(folder, 'cpu.max')).split(' ').map(Number)
  if (quota > 0 && period > 0) return quota / period
  const [oldQuota, oldPeriod] = ['quota', 'period'].map((what) => Number(read(join(folder, `cpu.cfs_${what}_us`))))
  return oldQuota > 0 && oldPeriod > 0 ? oldQuota / oldPeriod : Infinity
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}
