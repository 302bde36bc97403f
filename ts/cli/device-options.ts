import type { Command } from 'commander'
import { integer } from './arguments.ts'

/** Where networks run. */
export function addDevices(command: Command): Command {
  return command
    .optionsGroup('Where it runs:')
    .option(
      '--threads <n>',
      'threads of the network (default: 0, one per physical core, or per CPU that may be used where those are fewer)',
      integer('--threads', 0, 1024),
    )
    .option('--device <device>', 'cpu, cuda, cuda:<index>, or auto, which is a GPU where one can be used', 'cpu')
    .option(
      '--engine <engine>',
      'what runs the network: onnxruntime, webgpu on any GPU, or tensorrt on the GPU of --device',
      'onnxruntime',
    )
}
