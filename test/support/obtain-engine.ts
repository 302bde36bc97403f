import { appendFileSync } from 'node:fs'
import { EngineCache } from '../../ts/engines/cache.ts'
import type { EngineDescription } from '../../ts/engines/description.ts'

/** Run as a process: takes an engine from a cache; one that has to build it writes its id into a file, and takes its time. */
const [folder, builders, name] = process.argv.slice(2)
const description: EngineDescription = {
  model: 'avatar',
  stage: 'first',
  source: name,
  flavour: 'tensorrt-rtx',
  version: '1',
  targets: [89],
  profiles: [],
}

async function build(): Promise<Uint8Array> {
  appendFileSync(builders, `${process.pid}\n`)
  if (process.env.DIE_BUILDING) process.kill(process.pid, 'SIGKILL')
  await new Promise((resolve) => setTimeout(resolve, 1500))
  return Uint8Array.from({ length: 100_000 }, (_, k) => k & 255)
}

void new EngineCache(folder).obtain(description, build).then((engine) => process.stdout.write(String(engine.length)))
