import { loadavg } from 'node:os'

/** Seconds over which the kernel's first load average forgets. */
const MEMORY = 60

export interface LoadSources {
  /** The machine's load average over a minute. */
  readonly load: () => number
  /** Of this process, all its threads: µs of processor time. */
  readonly cpuTime: () => number
  /** Of this process: s since its start. */
  readonly uptime: () => number
}

const SOURCES: LoadSources = {
  load: () => loadavg()[0],
  cpuTime: () => {
    const { user, system } = process.cpuUsage()
    return user + system
  },
  uptime: () => process.uptime(),
}

/**
 * The load average without what this process adds to it, which a bench does by its own work: its processor time, averaged and forgotten
 * as the kernel does with the load.
 */
export class OthersLoad {
  private readonly sources: LoadSources
  private own = 0
  private cpuTime = 0
  private uptime = 0

  constructor(sources = SOURCES) {
    this.sources = sources
  }

  /** Now. Never below zero. */
  read(): number {
    const [cpuTime, uptime] = [this.sources.cpuTime(), this.sources.uptime()]
    const seconds = uptime - this.uptime
    if (seconds > 0) {
      const kept = Math.exp(-seconds / MEMORY)
      this.own = this.own * kept + ((cpuTime - this.cpuTime) / 1e6 / seconds) * (1 - kept)
    }
    this.cpuTime = cpuTime
    this.uptime = uptime
    return Math.max(0, this.sources.load() - this.own)
  }
}
