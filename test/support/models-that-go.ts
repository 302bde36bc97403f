import { load } from '../../ts/pipeline/load.ts'

// Run with --expose-gc by memory.test.ts. Prints by how many bytes the resident set grows as models come and go beside one that stays.

async function comeAndGo(): Promise<void> {
  const model = await load('avatar', { threads: 2 })
  await model.generate({ prompt: 'a kid', steps: 1 })
  await model.dispose()
}

async function main(): Promise<void> {
  const stays = await load('avatar', { threads: 2 })
  await stays.generate({ prompt: 'a kid', steps: 1 })
  await comeAndGo()
  globalThis.gc!()
  const before = process.memoryUsage.rss()
  for (let k = 0; k < 12; k++) await comeAndGo()
  globalThis.gc!()
  console.log(process.memoryUsage.rss() - before)
  await stays.dispose()
}

void main()
