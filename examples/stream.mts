// The steps of a run as they happen: npx tsx examples/stream.mts [POLICY]
import { load } from 'sada'

const [name = 'sada'] = process.argv.slice(2)
const LETTER = { run: '█', partial: '▒', prune: '▓', extrapolate: '·', interpolate: '·', reuse: '·' }

const pipeline = await load('avatar')
try {
  for await (const event of pipeline.stream({ prompt: 'a smiling kid with ginger bun hair', steps: 50, policy: { name } })) {
    if (event.type === 'step') process.stdout.write(LETTER[event.members[0].action])
    else
      console.log(
        `\n${event.trace.members[0].nfe} network runs, ${event.trace.ms.toFixed(0)} ms; █ run, ▒ some stages, ▓ on some tokens, · skipped`,
      )
  }
} finally {
  await pipeline.dispose()
}
