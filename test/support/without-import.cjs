// Runs the package as test runners do that give each module a context of its own: there is no `import()`. Prints what came of it.
const { readFileSync } = require('node:fs')
const { createRequire } = require('node:module')
const { dirname, join } = require('node:path')
const { runInThisContext } = require('node:vm')

const dist = join(__dirname, '..', '..', 'dist')
const modules = new Map()
function load(file) {
  if (modules.has(file)) return modules.get(file).exports
  const module = { exports: {} }
  modules.set(file, module)
  const native = createRequire(file)
  const require = (id) => {
    const found = id.startsWith('.') ? native.resolve(id) : id
    return found.startsWith(dist) ? load(found) : native(id)
  }
  const wrapper = runInThisContext(
    `(function (exports, require, module, __filename, __dirname) {${readFileSync(file, 'utf8')}\n})`,
    {
      filename: file,
    },
  )
  wrapper(module.exports, require, module, file, dirname(file))
  return module.exports
}

async function main() {
  const sada = load(join(dist, 'index.js'))
  for (const model of ['avatar', join(__dirname, '..', 'fixtures', 'families', 'sd2')]) {
    const pipeline = await sada.load(model, { threads: 1 })
    const { images } = await pipeline.generate({ prompt: 'a robot', steps: 2 })
    const init = await images[0].png()
    if (pipeline.takes.includes('init')) await pipeline.generate({ prompt: 'a robot', steps: 2, init })
    await pipeline.dispose()
    console.log(images[0].width, init.length > 100)
  }
}

void main()
