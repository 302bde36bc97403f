import { SingleBar } from 'cli-progress'
import type { BenchProgress } from '../bench/settings.ts'
import { visible } from '../bench/plain-text.ts'
import { isLive, wantsColour } from './terminal.ts'

/** The work done, on stderr: a bar with the time left on a terminal, a line for each thing done elsewhere. */
export function createProgress(): BenchProgress & { stop(): void } {
  return isLive(process.stderr) ? new Bar() : new Lines()
}

class Bar implements BenchProgress {
  private readonly bar = new SingleBar({
    format: `${wantsColour(process.stderr) ? '\x1b[36m{bar}\x1b[0m' : '{bar}'} {percentage}%  {left}  {task}`,
    barsize: 24,
    barCompleteChar: '━',
    barIncompleteChar: '─',
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    gracefulExit: false, // Ctrl-C is the program's own business
  })
  private startedAt = 0
  private total = 1
  private done = 0

  start(total: number): void {
    this.startedAt = performance.now()
    this.total = total
    this.bar.start(total, 0, { left: '', task: 'warming up' })
  }

  note(): void {}

  advance(work: number, task: string): void {
    this.done = Math.min(this.total, this.done + work)
    const left = ((performance.now() - this.startedAt) / this.done) * (this.total - this.done)
    // Nothing is known of the time before anything is done: what was finished in an earlier process is no work.
    this.bar.update(this.done, { left: this.done > 0 ? `${duration(left)} left` : '', task: visible(task) })
  }

  stop(): void {
    this.bar.stop()
  }
}

class Lines implements BenchProgress {
  start(): void {}

  note(text: string): void {
    process.stderr.write(`${visible(text)}\n`)
  }

  advance(): void {}

  stop(): void {}
}

export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}
