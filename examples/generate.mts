// Text to picture: npx tsx examples/generate.mts [PROMPT] [FILE]
import { writeFile } from 'node:fs/promises'
import { load } from 'sada'

const [prompt = 'a teal robot with round eyes', file = 'robot.png'] = process.argv.slice(2)

const stop = new AbortController()
process.once('SIGINT', () => stop.abort(new Error('stopped')))

const pipeline = await load('avatar')
try {
  const { images, trace, unknownWords } = await pipeline.generate({
    prompt,
    seed: 7,
    signal: stop.signal,
    onStep: ({ step, steps }) => process.stderr.write(`\r${step + 1}/${steps}`),
  })
  await writeFile(file, await images[0].png())
  const [{ nfe }] = trace.members
  console.log(`\n${file}: ${trace.ms.toFixed(0)} ms, ${nfe} network runs of ${trace.steps}`)
  for (const warning of trace.warnings ?? []) console.warn(warning)
  if (unknownWords.length > 0) console.log(`Words the model does not know: ${unknownWords.join(', ')}`)
} finally {
  await pipeline.dispose()
}
