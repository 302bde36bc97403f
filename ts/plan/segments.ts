import type { Stage } from './manifest.ts'
import type { StagedNetwork } from './staged-network.ts'

/** Stages of one kind that follow each other. */
export interface Segment {
  readonly kind: Stage['kind']
  readonly stages: StagedNetwork['stages']
}

export function segmentsOf(stages: StagedNetwork['stages']): Segment[] {
  const segments: { kind: Stage['kind']; stages: StagedNetwork['stages'][number][] }[] = []
  for (const stage of stages) {
    const last = segments.at(-1)
    if (last?.kind === stage.kind) last.stages.push(stage)
    else segments.push({ kind: stage.kind, stages: [stage] })
  }
  return segments
}

/** What token stages make and stages outside their own segment read. */
export function leftByTokens(segments: readonly Segment[]): Set<string> {
  const left = new Set<string>()
  for (const own of segments.filter(({ kind }) => kind === 'tokens')) {
    const made = own.stages.flatMap(({ outputs }) => outputs)
    const others = segments.filter((each) => each !== own).flatMap(({ stages }) => stages.flatMap(({ inputs }) => inputs))
    for (const name of made) if (others.includes(name)) left.add(name)
  }
  return left
}

/** Passes that keep equally many tokens share the calls of the token stages. */
export function byKeptCount<P extends { readonly keep?: Int32Array }>(passes: readonly P[]): P[][] {
  const groups = new Map<number, P[]>()
  for (const pass of passes) {
    const count = pass.keep?.length ?? 0
    groups.set(count, [...(groups.get(count) ?? []), pass])
  }
  return [...groups.values()]
}
