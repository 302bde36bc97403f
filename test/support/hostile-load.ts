import { load } from '../../ts/pipeline/load.ts'

// Loads a folder, given as the first argument, and makes a picture unless the second is "load". Prints the latents, or how it failed, and the peak
// of the resident set in MiB.
async function main(): Promise<void> {
  const [folder, only] = process.argv.slice(2)
  const outcome = await load(folder, { threads: 1 }).then(
    async (pipeline) => {
      const made = only ? undefined : await pipeline.generate({ prompt: 'a cat', steps: 3, seed: 5, policy: 'none' })
      await pipeline.dispose()
      return { latents: made && [...made.latents] }
    },
    ({ code }: { code?: string }) => ({ code }),
  )
  console.log(JSON.stringify({ ...outcome, peak: process.resourceUsage().maxRSS / 1024 }))
}

void main()
