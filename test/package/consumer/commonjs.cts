import sada = require('sada')
import metrics = require('sada/metrics')

const shape: metrics.PictureShape = [3, 16, 16]
if (metrics.ssim(new Float32Array(768), new Float32Array(768), shape) !== 1) throw new Error('unexpected SSIM')

const network: sada.NetworkFunction = ({ sample, alpha, members }) => sample.map((value) => (value * alpha) / members.length)

async function main(): Promise<void> {
  const { latents, trace } = await sada.sample({
    scheduler: { _class_name: 'EulerDiscreteScheduler', prediction_type: 'sample' },
    steps: 5,
    shape: [1, 4, 8, 8],
    seed: 1n,
    network,
    policy: { name: 'every-n', n: 3, order: 1 },
  })
  const first: sada.MemberStep = trace.members[0].steps[0]
  const action: sada.StepAction = first.action
  if (latents.length !== 256 || action !== 'run') throw new Error('unexpected result')
  const error: unknown = await sada.load('no such model').catch((reason: unknown) => reason)
  if (!(error instanceof sada.SadaError)) throw new Error('expected a SadaError')
  const code: sada.SadaErrorCode = error.code
  console.log(code)
}

void main()
