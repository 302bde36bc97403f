import { EQUAL_DB } from '../decibels.ts'
import type { BenchResult } from '../result.ts'
import { html, type Markup } from './markup.ts'

/** What a newcomer needs in order to judge the page. */
export function guide({ cases: [{ steps, batch, samples }] }: BenchResult): Markup {
  const pairs = samples / batch
  const entries: [string, string][] = [
    [
      'The idea',
      `A picture is made in ${steps} steps, from noise to image; at each one a neural network says where to go. Where ` +
        `the way is smooth it can be continued without asking again: a policy decides which steps ask the network, and ` +
        `which do not.`,
    ],
    [
      'Speed-up',
      `Wall time of the whole call, text to pixels, with every step computed over the time with the policy. Both run ` +
        `in turns in one process, so what slows the machine slows both. The figure is the median of ${pairs} pairs.`,
    ],
    [
      'Closeness',
      'The goal is the picture that the full run would have made from the same noise, not merely a good one. PSNR ' +
        'measures the distance to it in decibels: 40 is hard to see, at 60 the root mean square difference is a quarter of one of 255 levels. ' +
        `SSIM compares local structure; 1 is equal. A picture that is equal bit for bit has no finite PSNR: means and the ` +
        `worst leave it out, and differences of means count it as ${EQUAL_DB} dB, so that both sides are the same pictures.`,
    ],
    [
      'The honest rival',
      'Asking for fewer steps saves time as well. So every accelerated run stands beside a plain one with as many ' +
        'steps as fit into the same time, rounded down, from the same noise. A policy that is not closer than that ' +
        'gains nothing.',
    ],
    [
      'Full and short prompts',
      'A full prompt settles every detail; a short one leaves much to chance, and small errors early in the run may ' +
        'then lead to another picture altogether. The two kinds are reported apart.',
    ],
    [
      'Fixed schedule, no pruning',
      'Where present: a schedule that runs every n-th step whatever the picture, with as many network runs as the ' +
        'policy took; and the same policy without pruned passes. They show what deciding and pruning contribute.',
    ],
    [
      'Strips',
      'One cell for each step, noise on the left. A full bar is a whole network run, a shorter one a run on some ' +
        'tokens (places in the picture), a pale cell without one a skipped step. Point at a cell for its figures.',
    ],
    [
      'Differences',
      'Per colour, black is equal, multiplied by the factor beneath it so that anything can be seen. Both difference ' +
        'pictures of a row share one factor.',
    ],
  ]
  return html`<section id="guide">
    <h2>How to read this</h2>
    <div class="guide">
      ${entries.map(
        ([title, text]) =>
          html`<div>
            <h3>${title}</h3>
            <p>${text}</p>
          </div>`,
      )}
    </div>
  </section>`
}
