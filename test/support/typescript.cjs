// Preloaded (`node --require`) where TypeScript runs from its source: all of it is CommonJS. tsx's own hooks for ES modules would make the
// start of a process three times as long; what is imported lazily, `import('./x.ts')`, needs no more of them than to be told its format.
require('tsx/cjs')
require('node:module').register(
  `data:text/javascript,${encodeURIComponent(`
    export const load = (url, context, next) => (url.endsWith('.ts') ? { format: 'commonjs', shortCircuit: true } : next(url, context))
  `)}`,
)
