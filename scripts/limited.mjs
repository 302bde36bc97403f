// Programs that may hang: what they compute is limited, and not how busy the machine is.
import { spawn } from 'node:child_process'

/**
 * Runs a program to its end, or to its limit: seconds of CPU time of its own (SIGXCPU), else of the clock (SIGKILL), for one that hangs
 * without computing. `code` is what it exited with or the signal that ended it; `output` is all that it wrote.
 */
export function runLimited(command, args, { cpuSeconds, wallSeconds, ...options }) {
  // Of the process with all its threads; the shell becomes the program. Three seconds later SIGKILL, for one that ignores SIGXCPU.
  const limited = `ulimit -S -t ${cpuSeconds} && ulimit -H -t ${cpuSeconds + 3} && exec "$0" "$@"`
  return new Promise((resolve) => {
    const child = spawn('sh', ['-c', limited, command, ...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const hung = setTimeout(() => {
      output += `\nKilled after ${wallSeconds} seconds.\n`
      child.kill('SIGKILL')
      // A process that it started may keep these open.
      child.stdout.destroy()
      child.stderr.destroy()
    }, 1000 * wallSeconds)
    child.stdout.on('data', (text) => (output += text))
    child.stderr.on('data', (text) => (output += text))
    child.on('error', (error) => (output += String(error)))
    child.on('close', (code, signal) => {
      clearTimeout(hung)
      if (signal === 'SIGXCPU') output += `\nKilled after ${cpuSeconds} seconds of CPU time.\n`
      resolve({ code: code ?? signal, output })
    })
  })
}
