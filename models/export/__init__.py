"""diffusers folder → ONNX folder with a staged plan. See README.md."""

import os

# ONNX Runtime reports to its maker what it runs unless it is told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
