import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Those of some folders that exist in site-packages of the environment that is active, and of the user. */
export function pipFolders(names: readonly string[]): string[] {
  // Empty as good as unset: libraries must not come from whatever folder a process starts in.
  const prefixes = [process.env.VIRTUAL_ENV, process.env.CONDA_PREFIX, join(homedir(), '.local')].filter(
    (each): each is string => each !== undefined && each !== '',
  )
  return prefixes
    .flatMap((prefix) => [
      join(prefix, 'Lib', 'site-packages'),
      ...listed(join(prefix, 'lib'))
        .filter((name) => name.startsWith('python3'))
        .map((name) => join(prefix, 'lib', name, 'site-packages')),
    ])
    .flatMap((site) => names.map((name) => join(site, name)))
    .filter((folder) => existsSync(folder))
}

/** Names in a folder; none where it does not exist. */
export function listed(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
