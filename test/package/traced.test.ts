import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import ts from 'typescript'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

/**
 * Next.js and Nitro find the files that a server needs by reading its code, with @vercel/nft: a folder is taken along where a path is joined
 * from `__dirname` and constants alone (tried with its version 1.11).
 */

const ROOT = join(__dirname, '..', '..')

/** The paths that are joined from `__dirname` and constants in a built file, from the package's folder. */
function joinedIn(file: string): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /\bjoin\)?$/.test(node.expression.getText())) {
      const [first, ...rest] = node.arguments
      if (first?.getText() === '__dirname' && rest.every(ts.isStringLiteral))
        found.push(relative(ROOT, join(dirname(file), ...rest.map((each) => each.text))))
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true))
  return found
}

test('tools that trace the files of a server see the libraries and the bundled models', () => {
  assert.ok(joinedIn(join(ROOT, 'dist', 'native', 'load.js')).includes('prebuilt'))
  assert.ok(joinedIn(join(ROOT, 'dist', 'pipeline', 'model-folder.js')).includes('models'))
})

test.run()
