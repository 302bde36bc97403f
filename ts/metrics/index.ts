// TypeScript gives no types of Node unasked from version 6 on.
/// <reference types="node" preserve="true" />
import { clipCosines, torchmetricsScore, type ClipNetwork } from './clip-score.ts'
import { sampleBias } from './fid.ts'
import { InceptionMemory, type FidFlavour } from './inception.ts'
import { kidInTurns } from './kid.ts'
import { lpips, LPIPS_SMALLEST } from './lpips.ts'
import { metric, summary, type Metric, type Pairs } from './metric.ts'
import { unavailable, type Unavailable } from './network-files.ts'
import { clip, psnr } from './psnr.ts'
import { spectrogramLpips, SPECTROGRAM_SHORTEST } from './spectrogram-lpips.ts'
import { isSilent, melSpectrogram, SPECTROGRAM } from './spectrogram.ts'
import { ssim, SSIM_SMALLEST } from './ssim.ts'

export type { Features } from './features.ts'
export { fid, sampleBias, type SampleBias } from './fid.ts'
export { InceptionMemory, type FidFlavour } from './inception.ts'
export { kid, type Kid, type KidOptions } from './kid.ts'
export type { Metric, MetricContext, MetricNeeds, MetricValue, SampleForm } from './metric.ts'
export type { NetworkName, Sidecar, Unavailable, UnavailableCode } from './network-files.ts'
export { MetricNetworks, type Network, type NetworksOptions, type Tensor } from './networks.ts'
export { sampleOf, type PictureShape } from './picture.ts'
export { psnr } from './psnr.ts'
export { ssim } from './ssim.ts'

/** A value per pair, the same for pictures and for sounds. */
const eachPair = (
  { baseline, accelerated }: Pick<Pairs, 'baseline' | 'accelerated'>,
  value: (a: Float32Array, b: Float32Array) => number,
): number[] => baseline.map((sample, k) => value(sample, accelerated[k]))

/** The features of both sets. */
async function bothFeatures({ baseline, accelerated, context, shape, network }: Pairs<'inception-fid'>, flavour: FidFlavour) {
  const { inception = new InceptionMemory(), signal } = context
  return [
    await inception.features(network, baseline, shape, flavour, signal),
    await inception.features(network, accelerated, shape, flavour, signal),
  ] as const
}

const fidOf = (flavour: FidFlavour): Metric =>
  metric({
    unit: '',
    direction: 'lower',
    needs: { kind: 'pictures', samples: 8, network: 'inception-fid' },
    about:
      `Fréchet Inception distance between the accelerated and the baseline's pictures as 8-bit files, resized as ${flavour} does. ` +
      'Small samples inflate it: read it beside its bias, and compare only equal numbers of samples.',
    async compute(pairs) {
      const [baseline, accelerated] = await bothFeatures(pairs, flavour)
      const bias = sampleBias(baseline, accelerated, { seed: pairs.context.seed })
      return { mean: bias.points[bias.points.length - 1].fid, bias, settings: { flavour, features: baseline.dim } }
    },
  })

const clipScoreOf = (network: 'clip-vit-b-32' | 'clip-vit-l-14', flavour: 'raw cosine' | 'torchmetrics', about: string): Metric =>
  metric({
    unit: '',
    direction: 'higher',
    needs: { kind: 'pictures', samples: 1, network, captions: true },
    about,
    async compute({ baseline, accelerated, context, shape, network: clipNetwork }) {
      const cosines = (samples: readonly Float32Array[]) =>
        clipCosines(clipNetwork as ClipNetwork, samples, shape, context.captions!, context.signal)
      const [before, after] = [await cosines(baseline), await cosines(accelerated)]
      const settings = {
        model: clipNetwork.sidecar.model,
        scale: flavour === 'torchmetrics' ? '100·cosine, mean at least 0' : 'cosine',
      }
      if (flavour === 'torchmetrics') {
        const scores = summary(after.map((cosine) => 100 * cosine))
        return { ...scores, mean: torchmetricsScore(after), baseline: torchmetricsScore(before), settings }
      }
      return { ...summary(after), baseline: summary(before).mean!, settings }
    },
  })

/** The metrics by name, in the order in which a report shows them. */
export const METRICS = {
  psnr: metric({
    unit: 'dB',
    direction: 'higher',
    needs: { samples: 1 },
    about:
      "Peak signal-to-noise ratio against the baseline's sample, on [−1, 1] before rounding, per sample; equal pairs are counted apart.",
    compute: (pairs) => ({ ...summary(eachPair(pairs, psnr)), settings: { peak: 2 } }),
  }),
  ssim: metric({
    unit: '',
    direction: 'higher',
    needs: { kind: 'pictures', samples: 1, pixels: SSIM_SMALLEST },
    about:
      "Structural similarity to the baseline's picture (Wang et al. 2004, on values in [0, 1], as scikit-image with its Gaussian window).",
    compute: (pairs) => ({
      ...summary(eachPair(pairs, (a, b) => ssim(a, b, pairs.shape))),
      settings: { window: 'Gaussian, σ 1.5, 11×11' },
    }),
  }),
  lpips: metric({
    unit: '',
    direction: 'lower',
    needs: { kind: 'pictures', samples: 1, pixels: LPIPS_SMALLEST, network: 'lpips-alex' },
    about: "LPIPS to the baseline's picture: version 0.1, AlexNet, no resizing (Zhang et al. 2018).",
    async compute({ baseline, accelerated, context, shape, network }) {
      const values: number[] = []
      for (const [k, sample] of baseline.entries()) {
        context.signal?.throwIfAborted()
        values.push((await lpips(network, sample.map(clip), accelerated[k].map(clip), shape)).value)
      }
      return { ...summary(values), settings: { network: 'AlexNet', version: '0.1' } }
    },
  }),
  fid: fidOf('pytorch-fid'),
  'fid-clean': fidOf('clean-fid'),
  kid: metric({
    unit: '',
    direction: 'lower',
    needs: { kind: 'pictures', samples: 4, network: 'inception-fid' },
    about:
      "Kernel Inception distance between the accelerated and the baseline's pictures, resized as clean-fid does. Not inflated by " +
      'small samples: the one to read below 10,000. About zero, also below, where the sets are alike.',
    async compute(pairs) {
      const [baseline, accelerated] = await bothFeatures(pairs, 'clean-fid')
      const { seed, signal } = pairs.context
      const { mean, std, subsets, subsetSize } = await kidInTurns(baseline, accelerated, { seed }, signal)
      return {
        mean,
        std,
        settings: { flavour: 'clean-fid', kernel: '(x·y/d + 1)³', features: baseline.dim, subsets, subsetSize },
      }
    },
  }),
  'clip-score': clipScoreOf(
    'clip-vit-b-32',
    'raw cosine',
    "Mean cosine between CLIP ViT-B/32's embeddings of the accelerated picture and of its caption, as papers on acceleration report it; the baseline's stands beside it.",
  ),
  'clip-score-torchmetrics': clipScoreOf(
    'clip-vit-l-14',
    'torchmetrics',
    "torchmetrics' CLIPScore with its default model, ViT-L/14: 100 times the mean cosine, at least 0; the baseline's stands beside it.",
  ),
  'spectrogram-lpips': metric({
    unit: '',
    direction: 'lower',
    needs: { kind: 'sounds', samples: 1, network: 'lpips-alex' },
    about:
      "LPIPS (0.1, AlexNet) between log-mel spectrograms of the accelerated and the baseline's sound as grey pictures, in dB below the baseline's loudest.",
    async compute({ context, network, ...pairs }) {
      const [baseline, accelerated] = [pairs.baseline, pairs.accelerated].map((sounds) => sounds.map((sound) => sound.map(clip)))
      const unmet = unfitSound(baseline, context.form.kind === 'sounds' ? context.form.sampleRate : 0)
      if (unmet !== undefined) return unmet
      const values: number[] = []
      for (const [k, sound] of baseline.entries()) {
        context.signal?.throwIfAborted()
        values.push((await spectrogramLpips(network, sound, accelerated[k])).value)
      }
      return { ...summary(values), settings: { ...SPECTROGRAM, network: 'AlexNet', version: '0.1' } }
    },
  }),
} as const satisfies Readonly<Record<string, Metric>>

/** The name of a metric. */
export type MetricName = keyof typeof METRICS

function unfitSound(sounds: readonly Float32Array[], sampleRate: number): Unavailable | undefined {
  if (sampleRate !== SPECTROGRAM.sampleRate)
    return unavailable('wrong-kind', `It is defined at ${SPECTROGRAM.sampleRate} Hz, and these sounds have ${sampleRate} Hz.`)
  if (sounds[0].length < SPECTROGRAM_SHORTEST)
    return unavailable(
      'too-small',
      `It needs at least ${SPECTROGRAM_SHORTEST} samples of sound, and there are ${sounds[0].length}.`,
    )
  const silent = sounds.findIndex((sound) => isSilent(melSpectrogram(sound)))
  if (silent >= 0)
    return unavailable('silent', `Sound ${silent} of the baseline is silent: there is no loudest to count levels from.`)
  return undefined
}
