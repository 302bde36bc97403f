import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where functions of TensorRT's interfaces stand in their tables: `IRuntime::getLogger` → 10, the first being a destructor. */
export type Slots = ReadonlyMap<string, number>

const HEADERS = join(__dirname, '../../native/engine/cuda_types')
/** A jump or call through a table, by bytes from its beginning. */
const THROUGH_TABLE = /\s(?:jmp|call)\s+\*(0x[0-9a-f]+)?\(%r[a-z0-9]+\)/
/** A function that does more than to pass the call on is another's. */
const LONGEST = 14

function output(command: string, args: readonly string[], input?: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', input, maxBuffer: 1 << 28 })
  if (status !== 0) throw new Error(`${command}: ${error?.message ?? stderr}`)
  return stdout
}

/** Of the inline functions that a file compiled from the headers has of its own: each is a call through a table. */
export function slotsOf(file: string): Slots {
  const found = new Map<string, number>()
  for (const part of output('objdump', ['-d', '--no-show-raw-insn', file]).split('\n\n')) {
    const name = /^[0-9a-f]+ <(_ZNK?8nvinfer1[^>.]*)>:$/m.exec(part)?.[1]
    const calls = part.split('\n').flatMap((line) => THROUGH_TABLE.exec(line) ?? [])
    if (name === undefined || part.split('\n').length > LONGEST || !THROUGH_TABLE.test(part)) continue
    if (calls.length === 2) found.set(name, Number(calls[1] ?? 0) / 8)
  }
  const names = output('c++filt', [], [...found.keys()].join('\n'))
    .trim()
    .split('\n')
  return new Map([...found.values()].map((slot, k) => [names[k].replace(/^nvinfer1::/, ''), slot]))
}

/** Compiles a file against TensorRT's public headers in `folder`; returns the object's path. */
function compile(source: string, folder: string, flags: readonly string[]): string {
  const object = join(mkdtempSync(join(tmpdir(), 'sada-tables-')), 'object.o')
  output('g++', ['-std=c++17', '-fPIC', ...flags, '-isystem', HEADERS, '-isystem', folder, '-c', source, '-o', object])
  return object
}

/** Of all functions of the headers. */
export function slotsOfHeaders(folder: string): Slots {
  const source = join(mkdtempSync(join(tmpdir(), 'sada-tables-')), 'all.cpp')
  writeFileSync(source, '#include <NvInfer.h>\n')
  return slotsOf(compile(source, folder, ['-O2', '-fkeep-inline-functions']))
}

/** The headers' functions that a source of the addon calls: without optimisation its object has each of them. */
export function calledBy(source: string, folder: string): string[] {
  const symbols = output('nm', ['-C', '--defined-only', compile(source, folder, ['-O0', '-DSADA_TENSORRT'])])
  return symbols.split('\n').flatMap((line) => / W nvinfer1::(\w+::\w+\(.*)$/.exec(line)?.[1] ?? [])
}
