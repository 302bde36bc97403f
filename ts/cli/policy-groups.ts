import type { PolicyName } from '../policy/spec.ts'

/** Every policy in a few words, under what it has in common with others. */
export const POLICY_GROUPS: Readonly<Record<string, Readonly<Partial<Record<PolicyName, string>>>>> = {
  "This package's own": {
    sada: 'the default: skips while the forecast error stays small',
    auto: 'meets a target, of speed, of time or of closeness',
    'every-n': 'a fixed schedule: runs every n-th step',
    none: 'runs every step: the full run that all others are compared with',
  },
  'SADA as published': {
    'sada/poster': "the poster's formulas and settings",
    'sada-reference': "the authors' code, decision by decision",
  },
  'Published methods that leave out whole network runs': {
    'adaptive-diffusion': "skips while the sampler's steps change evenly",
    easycache: 'skips while the forecast change of the output stays small',
    hicache: 'as taylorseer, in scaled Hermite polynomials',
    magcache: 'skips along a curve measured beforehand ("sada calibrate magcache")',
    resilphase: 'runs every n-th step, a saturating polynomial in between',
    seacache: 'skips while the input, filtered to its signal, changes little',
    spectrum: 'runs ever fewer steps, a Chebyshev fit in between',
    taylorseer: 'runs every n-th step, a Taylor series in between',
  },
  'Published methods that leave out parts of the network (for models that have them as stages)': {
    deepcache: 'runs the deep stages at every n-th step',
    'first-block-cache': 'runs the first block, the others where its work has changed',
    dbcache: 'the same, warmed up, capped and with a forecast',
    dicache: 'runs the first block, the others where its output has changed, else goes on along their last changes',
    teacache: 'skips the blocks while their input changes little',
    'teacache/flux': "the same by FLUX.1's polynomial",
    'teacache/hunyuan-video': "by HunyuanVideo's",
    'teacache/ltx': "by LTX-Video's",
    'teacache/lumina2': "by Lumina-Image 2.0's",
  },
}
