// Brings SwiftShader, a GPU for Vulkan that is a program, into build/swiftshader, for the tests of the WebGPU provider: out of a package of
// Debian's (31 MB), which is not installed. Where it cannot be had, says so; those tests then skip themselves.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const target = join(dirname(fileURLToPath(import.meta.url)), '..', 'build', 'swiftshader')
/** The device, what tells of it, and Vulkan's loader, which is looked for by its name. */
const FILES = ['libvk_swiftshader.so', 'vk_swiftshader_icd.json', 'libvulkan.so.1']

/** Chromium's folder in its package. */
function unpack(folder) {
  const run = (command, args) => spawnSync(command, args, { cwd: folder, encoding: 'utf8', timeout: 300_000 })
  for (const args of [
    ['update', '-qq'],
    ['download', '-qq', 'chromium-common'],
  ]) {
    const { status, stderr, error } = run('apt-get', args)
    if (status !== 0) throw new Error((error?.message ?? stderr).trim().split('\n').at(-1))
  }
  const [archive] = readdirSync(folder).filter((file) => file.endsWith('.deb'))
  const { status, stderr, error } = run('dpkg-deb', ['-x', archive, folder])
  if (status !== 0) throw new Error(error?.message ?? stderr)
  return join(folder, 'usr/lib/chromium')
}

if (FILES.every((file) => existsSync(join(target, file)))) {
  console.log('SwiftShader is in build/swiftshader')
} else {
  const folder = mkdtempSync(join(tmpdir(), 'sada-chromium-'))
  try {
    const from = unpack(folder)
    mkdirSync(target, { recursive: true })
    for (const file of FILES) copyFileSync(join(from, file), join(target, file))
  } catch (error) {
    rmSync(target, { recursive: true, force: true })
    console.log(`SKIPPED fetching SwiftShader: ${error.message}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
