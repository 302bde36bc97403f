"""ONNX Runtime against PyTorch, before anything is offered as exported."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

from .graph import Part, tensors_of, to_numpy

# Largest difference to float32 in PyTorch as a share of the largest value: rounding of every operation, or of the weights, through
# tens of layers. A wrong graph is off by the range itself.
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 1e-1}
# Ids and positions, which are whole numbers, and these have to be values that occur.
IN_RANGE = ("timestep", "time_ids", "encoder_attention_mask", "resolution", "aspect_ratio")


class Disagreement(Exception):
    """An exported file does not compute what the PyTorch module does."""


class Overflow(Disagreement):
    """A layer has values that float16 does not."""


LARGEST_HALF = 65504.0  # of float16


@contextmanager
def recorded(module: torch.nn.Module) -> Iterator[dict[str, float]]:
    """The largest absolute value that each layer takes or gives while the context lasts, by its name."""
    found: dict[str, float] = {}

    def recorder(name: str):
        def record(_: torch.nn.Module, taken: tuple, given: object) -> None:
            for value in (*taken, *(given if isinstance(given, tuple) else (given,))):
                if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel() > 0:
                    found[name] = max(found.get(name, 0.0), float(value.abs().max()))

        return record

    layers = [(name, one) for name, one in module.named_modules() if next(one.children(), None) is None]
    hooks = [one.register_forward_hook(recorder(name)) for name, one in layers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def refuse_overflow(part: str, largest: dict[str, float]) -> None:
    """Raises `Overflow`. ONNX Runtime's CPU provider, which runs the check, computes in float32 between casts, so that its results do not show it."""
    for layer, value in largest.items():
        if value > LARGEST_HALF:
            raise Overflow(f"{part}: expected values of at most {LARGEST_HALF:.0f}, the largest of float16; {layer} takes or gives {value:.3g}")


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def widened(path: Path, folder: Path) -> Path:
    """The file with float32 in place of bfloat16, for which ONNX Runtime has no kernels on the CPU: same graph, same weights."""
    model = onnx.load(path)
    wide, narrow = onnx.TensorProto.FLOAT, onnx.TensorProto.BFLOAT16
    for tensor in tensors_of(model):
        if tensor.data_type == narrow:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    for one in (*model.graph.input, *model.graph.output):
        if one.type.tensor_type.elem_type == narrow:
            one.type.tensor_type.elem_type = wide
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == narrow:
                attribute.i = wide
    made = folder / path.name
    onnx.save(model, made, save_as_external_data=True, location=f"{path.name}_data")
    return made


class Runner:
    """A written file in ONNX Runtime, and inputs for it by name."""

    def __init__(self, path: Path, dtype: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.session = session(widened(path, Path(folder)) if dtype == "bf16" else path)
        self.names = [one.name for one in self.session.get_outputs()]
        self.types = {one.name: np.float16 if "float16" in one.type else np.float32 for one in self.session.get_inputs() if "float" in one.type}
        self.reads = [one.name for one in self.session.get_inputs()]

    def run(self, named: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {name: named[name].astype(self.types.get(name, named[name].dtype)) for name in self.reads}
        return dict(zip(self.names, self.session.run(self.names, given)))


def resized(part: Part, sizes: dict[str, int], seed: int) -> dict[str, torch.Tensor]:
    """The part's example inputs with other values, and the given sizes on their dynamic axes."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, example in part.inputs.items():
        shape = list(example.shape)
        for axis, symbol in part.axes.get(name, {}).items():
            shape[axis] = sizes.get(symbol, shape[axis])
        if example.is_floating_point() and name not in IN_RANGE:
            made[name] = torch.randn(shape, generator=generator).to(example.dtype)
        else:
            # Values of the example, in another order.
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


def check(part: Part, path: Path, sizes: list[dict[str, int]], dtype: str) -> float:
    """Largest relative difference over the example and every given size; raises `Disagreement` above the tolerance."""
    running = Runner(path, dtype)
    worst = 0.0
    for k, one in enumerate([{}, *sizes]):
        inputs = resized(part, one, k)
        with recorded(part.module) as largest:
            wanted = part.run(inputs)
        if dtype == "fp16":
            refuse_overflow(part.name, largest)
        made = running.run({name: to_numpy(value) for name, value in inputs.items()})
        for name, value in made.items():
            worst = max(worst, agreed(value, wanted[name], f"{path}: {name} at {one or 'the traced size'}", dtype))
    return worst


def agreed(made: np.ndarray, wanted: torch.Tensor, what: str, dtype: str) -> float:
    """The relative difference; raises `Disagreement` when it is more than rounding."""
    found, limit = difference(made, wanted, what), TOLERANCE[dtype]
    if not found <= limit:
        raise Disagreement(f"{what} differs from PyTorch by {found:.1e} of its range; at most {limit:.0e} is rounding")
    return found
