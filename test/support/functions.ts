import ts from 'typescript'

export interface FunctionSize {
  readonly name: string
  readonly lines: number
}

/** Every function of a TypeScript file, with the lines from its signature to its end. */
export function functionsOf(path: string, text: string): FunctionSize[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true)
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line
  const found: FunctionSize[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const name =
        node.name ??
        (ts.isVariableDeclaration(node.parent) || ts.isPropertyAssignment(node.parent) ? node.parent.name : undefined)
      found.push({
        name: name?.getText(source) ?? (ts.isConstructorDeclaration(node) ? 'constructor' : 'anonymous'),
        lines: lineOf(node.end) - lineOf(node.getStart(source)) + 1,
      })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Every function of a C++ file: a brace that opens after a parameter list, outside of any other function. */
export function cppFunctionsOf(text: string): FunctionSize[] {
  // Comments and literals may hold braces; line breaks stay.
  const code = text.replace(/\/\/.*|\/\*[^]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'/g, (match) =>
    match.replace(/[^\n]/g, ' '),
  )
  const found: FunctionSize[] = []
  let depth = 0
  let inside: { name: string; from: number; depth: number } | undefined
  let head = ''
  let line = 1
  for (const character of code) {
    if (character === '\n') line++
    if (character === '{') {
      const name = /(~?[\w:]+|operator\S+)\s*\([^]*\)\s*(?:const|noexcept|override|final|->[^{]*|:[^{]*|\s)*$/.exec(
        head.trim(),
      )?.[1]
      if (!inside && name !== undefined && !/=\s*$/.test(head))
        inside = { name, from: line - (head.trim().match(/\n/g)?.length ?? 0), depth }
      depth++
      head = ''
    } else if (character === '}') {
      depth--
      if (inside?.depth === depth) {
        found.push({ name: inside.name, lines: line - inside.from + 1 })
        inside = undefined
      }
      head = ''
    } else if (character === ';') head = ''
    else head += character
  }
  return found
}
