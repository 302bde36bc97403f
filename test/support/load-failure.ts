import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'

// Prints the code and message with which an engine cannot be made.
try {
  new (loadAddon().Engine)({ library: findOnnxRuntime() })
} catch (error) {
  const { code, message } = error as { code?: string; message: string }
  console.log(JSON.stringify({ code, message }))
}
