"""diffusers folder → ONNX folder with a staged plan. See README.md."""
