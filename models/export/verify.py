"""ONNX Runtime against PyTorch, before anything is offered as exported."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .graph import Part, to_numpy

# Largest difference as a share of the largest value: float32 rounding through tens of layers; half precision likewise.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 2e-1}


class Disagreement(Exception):
    """An exported file does not compute what the PyTorch module does."""


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def resized(part: Part, sizes: dict[str, int], seed: int) -> dict[str, torch.Tensor]:
    """The part's example inputs with other values, and the given sizes on their dynamic axes."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, example in part.inputs.items():
        shape = list(example.shape)
        for axis, symbol in part.axes.get(name, {}).items():
            shape[axis] = sizes.get(symbol, shape[axis])
        if example.is_floating_point() and name not in ("timestep", "time_ids"):
            made[name] = torch.randn(shape, generator=generator).to(example.dtype)
        else:
            # Ids, times and positions: values of the example, which are in range, in another order.
            flat = example.flatten()
            made[name] = flat[torch.randint(len(flat), (int(np.prod(shape)),), generator=generator)].reshape(shape)
    return made


def difference(made: np.ndarray, wanted: torch.Tensor, name: str) -> float:
    """Largest absolute difference over the largest absolute value."""
    reference = to_numpy(wanted).astype(np.float64)
    if made.shape != reference.shape:
        raise Disagreement(f"{name}: ONNX Runtime gives shape {made.shape}, PyTorch {reference.shape}")
    if not np.isfinite(reference).all():
        raise Disagreement(f"{name}: PyTorch itself gives values that are not finite")
    return float(np.abs(made.astype(np.float64) - reference).max() / max(np.abs(reference).max(), 1e-30))


def check(part: Part, path: Path, sizes: list[dict[str, int]]) -> float:
    """Largest relative difference over the example and every given size; raises `Disagreement` above the tolerance."""
    running = session(path)
    read = {one.name for one in running.get_inputs()}
    worst = 0.0
    for k, one in enumerate([{}, *sizes]):
        inputs = resized(part, one, k)
        wanted = part.run(inputs)
        made = running.run(part.outputs, {name: to_numpy(value) for name, value in inputs.items() if name in read})
        for name, value in zip(part.outputs, made):
            limit = TOLERANCE[wanted[name].dtype]
            found = difference(value, wanted[name], f"{path}: {name}")
            if not found <= limit:
                raise Disagreement(f"{path}: {name} differs from PyTorch by {found:.1e} of its range at {one or 'the traced size'}; at most {limit:.0e} is rounding")
            worst = max(worst, found)
    return worst
