import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'

// Opens an engine, and says what the variable for ONNX Runtime's telemetry is after that.
new (loadAddon().Engine)({ library: findOnnxRuntime() })
process.stdout.write(process.env.ORT_DISABLE_TELEMETRY ?? 'not set')
