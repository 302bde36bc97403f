// Runs test files, each in a process of its own, and counts what uvu says of them. A file that fails, crashes, hangs or runs no test fails.
import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const MOST_MINUTES = 5

export class TestRun {
  totals = { passed: 0, failed: 0, skipped: 0 }

  /** Runs files, `atOnce` of them at a time: `[what it is called, command, arguments, options of spawn]`. */
  async run(files, atOnce) {
    const left = [...files]
    const next = async () => {
      for (let file = left.shift(); file !== undefined; file = left.shift()) this.#count(...(await runFile(...file)))
    }
    await Promise.all(Array.from({ length: atOnce }, next))
  }

  /** Tests that cannot run here. */
  skip(count, why) {
    this.totals.skipped += count
    console.log(`  SKIPPED ${why}`)
  }

  /** Prints the closing line and sets the exit code: a run of which nothing passed has failed, but where everything `mayBeSkipped`. */
  end({ mayBeSkipped = false } = {}) {
    const { passed, failed, skipped } = this.totals
    console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`)
    process.exitCode = failed > 0 || (passed === 0 && !(mayBeSkipped && skipped > 0)) ? 1 : 0
  }

  #count(name, { code, signal, output, seconds }) {
    const number = (word) => Number(new RegExp(`${word}:\\s+(\\d+)`).exec(output)?.[1] ?? 0)
    const [total, passed, skipped] = ['Total', 'Passed', 'Skipped'].map(number)
    // uvu does not count skipped tests in its total.
    const ran = total + skipped > 0
    const failed = ran ? total - passed : 0
    const broken = failed > 0 || !ran || code !== 0
    this.totals.passed += passed
    this.totals.skipped += skipped
    this.totals.failed += failed > 0 ? failed : broken ? 1 : 0
    const says = ran
      ? `${passed} passed${failed ? `, ${failed} failed` : ''}${skipped ? `, ${skipped} skipped` : ''}`
      : 'ran no test'
    console.log(`${broken ? '✘' : '✔'} ${name}  ${says}  ${seconds.toFixed(1)} s${signal ? `  ended by ${signal}` : ''}`)
    // A skipped test says why on a line of its own.
    for (const line of output.split('\n')) if (line.startsWith('SKIPPED')) console.log(`  ${line}`)
    if (broken) console.log(output)
  }
}

/**
 * What it prints goes to a file: pipes may be held open by a process that it started, and Wine's programs cannot write to them. Its temporary
 * files go into a folder of its own, and with it, where it is given no other environment.
 */
function runFile(name, command, args, options) {
  const folder = mkdtempSync(join(tmpdir(), 'sada-test-'))
  const path = join(folder, basename(name))
  const file = openSync(path, 'w')
  const from = performance.now()
  // Wine's programs, with a folder of their own, did not find the Windows that it was told to be.
  const env = options.env ?? { ...process.env, TMPDIR: folder }
  const child = spawn(command, args, { ...options, env, stdio: ['ignore', file, file] })
  return new Promise((resolve) => {
    let hung = ''
    const end = (code, signal) => {
      clearTimeout(timer)
      closeSync(file)
      const output = readFileSync(path, 'utf8') + hung
      try {
        rmSync(folder, { recursive: true, force: true })
      } catch {
        // A process that it started is still there and writes into it; the other files run all the same.
      }
      resolve([name, { code, signal, output, seconds: (performance.now() - from) / 1000 }])
    }
    const timer = setTimeout(() => {
      hung = `\nKilled after ${MOST_MINUTES} minutes.\n`
      child.kill('SIGKILL')
    }, MOST_MINUTES * 60_000)
    child.on('error', (error) => {
      hung = error.message
      end(1, null)
    })
    child.on('exit', end)
  })
}
