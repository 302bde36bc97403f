// The thread of long work on picture files: started by codec-thread.ts, which tells it one task after the other.
import { parentPort } from 'node:worker_threads'
import { runCodec } from './codec.ts'
import type { CodecAnswer, CodecCall } from './codec-thread.ts'

const answer = (given: CodecAnswer, moved: readonly ArrayBufferLike[] = []): void =>
  parentPort!.postMessage(given, moved as ArrayBuffer[])

parentPort!.postMessage('running' satisfies CodecAnswer)
parentPort!.on('message', ({ id, task }: CodecCall) => {
  runCodec(task).then(
    (result) => answer({ id, result }, [result instanceof Uint8Array ? result.buffer : result.data.buffer]),
    (error: Error) => answer({ id, failure: error.message }),
  )
})
