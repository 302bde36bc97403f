"""A network's stages and a list of their weights instead of these: for sizes that no machine at hand can hold, and links too slow to carry.

`fill.py` makes the weights of the list where the network runs.
"""

import math
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils._python_dispatch import TorchDispatchMode

from export.graph import SMALLEST_OUTSIDE, Part, aligned, move_out, tensors_of
from export.plan_file import traced
from export.stages import Plan

# Like `tiny.lively`: what is multiplied with the input keeps its variance, what is added moves it a little.
BIAS = (0.0, 0.1)
GAIN = (1.0, 0.1)
FEWEST_VALUES = 16  # different ones; what has fewer is a mask or a constant


def empty(kind: type, config: dict[str, object]) -> torch.nn.Module:
    """A network whose weights are zeros that share one storage, as large as the largest of them."""
    with torch.device("meta"):
        network = kind(**config)
    storage = torch.zeros(max(weight.numel() for weight in network.parameters()))
    for module in network.modules():
        if module._buffers:
            raise NotImplementedError(f"{type(module).__name__} has buffers, whose values the graph needs")
        for name, value in module._parameters.items():
            if value is not None:
                module._parameters[name] = torch.nn.Parameter(storage[: value.numel()].view(value.shape), requires_grad=False)
    return network.eval()


class NoProducts(TorchDispatchMode):
    """Products with weights are not computed: a trace wants the operations and the shapes, and all is zero."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            left, right = args[-2:]
            return left.new_zeros(left.shape[0], right.shape[1])
        return operation(*args, **(kwargs or {}))


def linear(module: torch.nn.Linear, values: torch.Tensor) -> torch.Tensor:
    """`Linear.forward` in a trace of an empty network."""
    with NoProducts():
        return torch.nn.functional.linear(values, module.weight, module.bias)


def without_storage(plan: Plan) -> None:
    """Moves the plan's modules to where operations are counted and nothing is computed."""
    for stage in plan.stages:
        for step in stage.steps:
            step.to("meta")


class WeightList:
    """In the place of an `export.graph.WeightFile`: says what would be in it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.end = 0
        self.tensors: list[dict[str, object]] = []

    def take(self, model: onnx.ModelProto) -> None:
        """Moves the model's floating-point tensors to the list; small ones and those that are no random numbers stay, with values."""
        uses = {name: (node, position) for node in model.graph.node for position, name in enumerate(node.input)}
        for tensor in tensors_of(model):
            is_empty = tensor.data_location == TensorProto.EXTERNAL
            kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            length = math.prod(tensor.dims) * kind.itemsize
            if is_empty:
                mean, deviation = moments_by_use(tensor, *uses[tensor.name])
            else:
                found = moments_of(tensor)
                if length < SMALLEST_OUTSIDE or found is None:
                    continue
                mean, deviation = found
            if length < SMALLEST_OUTSIDE:
                values = np.random.default_rng(len(self.tensors)).normal(mean, deviation, tuple(tensor.dims))
                tensor.CopyFrom(numpy_helper.from_array(values.astype(kind), tensor.name))
                continue
            offset = aligned(self.end, length)
            self.end = offset + length
            move_out(tensor, self.file, offset, length)
            self.tensors.append({"name": tensor.name, "shape": list(tensor.dims), "dtype": kind.name, "offset": offset, "bytes": length, "mean": mean, "std": deviation})


def moments_of(tensor: TensorProto) -> tuple[float, float] | None:
    """Mean and standard deviation of the values, where they look like random numbers."""
    values = numpy_helper.to_array(tensor)
    if values.dtype.kind != "f" or not np.isfinite(values).all() or len(np.unique(values)) < FEWEST_VALUES:
        return None
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))


def moments_by_use(tensor: TensorProto, node: onnx.NodeProto, position: int) -> tuple[float, float]:
    """Mean and standard deviation that `tiny.lively` would give a weight, which a trace may have turned about, by what is done with it."""
    dims = list(tensor.dims)
    match node.op_type, position:
        case "Conv", 1:
            inputs = math.prod(dims[1:])
        case "Gemm", 1:
            inputs = dims[1] if any(one.name == "transB" and one.i for one in node.attribute) else dims[0]
        case "MatMul", 1:
            inputs = dims[-2]
        case ("Mul", _) | ("LayerNormalization" | "InstanceNormalization", 1):
            return GAIN
        case ("Add", _) | ("Conv" | "Gemm" | "LayerNormalization" | "InstanceNormalization", 2):
            return BIAS
        case _:
            raise NotImplementedError(f"{tensor.name} is input {position} of a {node.op_type}")
    return 0.0, inputs**-0.5


def write_stages(plan: Plan, folder: Path, weights: WeightList, dtype: str) -> None:
    """As `export.plan_file.write_stages`, of a network that `empty` made."""
    for part in plan.parts():
        write_model(traced(part, dtype, weights=False), folder / f"{part.name}.onnx", weights)


def write_part(part: Part, folder: Path, weights: WeightList) -> None:
    """One file in float32, of a module that has weights."""
    write_model(traced(part, "fp32"), folder / "model.onnx", weights)


def write_model(model: onnx.ModelProto, path: Path, weights: WeightList) -> None:
    weights.take(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
