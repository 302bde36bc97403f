import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** This package's version, from the package.json above `dist/` as above `ts/`. */
export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8')) as { version: string }
  return manifest.version
}
