"""PyTorch module → ONNX file, and the weight file that a network shares with its stages."""

import hashlib
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.onnx import symbolic_helper

OPSET = 18
# The IR version of opset 18's time: older runtimes refuse files that state a newer one.
IR_VERSION = 8
# Smaller tensors stay in the graph: a runtime folds them while it loads, and shape constants must be there.
SMALLEST_OUTSIDE = 1024  # bytes


@dataclass
class Part:
    """One ONNX file to be: a module, an example of each input in the order of `forward`, and its outputs' names."""

    name: str
    module: torch.nn.Module
    inputs: dict[str, torch.Tensor]
    outputs: list[str]
    # Dynamic axes by tensor: {axis: symbol}. Tensors without one have the example's shape.
    axes: dict[str, dict[int, str]] = field(default_factory=dict)

    def run(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The module's own outputs, by name."""
        with torch.no_grad():
            made = self.module(*(inputs[name] for name in self.inputs))
        made = made if isinstance(made, (tuple, list)) else (made,)
        return dict(zip(self.outputs, made, strict=True))


@symbolic_helper.parse_args("v", "is", "v", "v")
def rms_norm(g, x, normalized_shape, weight, eps):
    """torch.rms_norm, which the tracing exporter does not know, over the last axis."""
    if len(normalized_shape) != 1:
        raise NotImplementedError(f"RMS norm over {len(normalized_shape)} axes")
    two, last = g.op("Constant", value_t=torch.tensor(2.0)), g.op("Constant", value_t=torch.tensor([-1]))
    eps = torch.tensor(1.1920929e-07) if symbolic_helper._is_none(eps) else torch.tensor(float(eps.node().t("value")))
    # Squares of half-precision values overflow: PyTorch computes this norm in float32 as well.
    wide = g.op("Cast", x, to_i=onnx.TensorProto.FLOAT)
    mean = g.op("ReduceMean", g.op("Pow", wide, two), last, keepdims_i=1)
    normed = g.op("Div", wide, g.op("Sqrt", g.op("Add", mean, g.op("Constant", value_t=eps))))
    normed = g.op("CastLike", normed, x)
    return normed if symbolic_helper._is_none(weight) else g.op("Mul", normed, weight)


torch.onnx.register_custom_op_symbolic("aten::rms_norm", rms_norm, OPSET)


def unflatten(tensor: torch.Tensor, axis: int, sizes: tuple[int, ...]) -> torch.Tensor:
    """torch.Tensor.unflatten whose other axes stay symbolic in a trace; PyTorch's own makes constants of them."""
    axis %= tensor.ndim
    return tensor.reshape(*tensor.shape[:axis], *sizes, *tensor.shape[axis + 1 :])


def trace(part: Part, weights: bool = True) -> onnx.ModelProto:
    """The part as an ONNX model in memory. Without `weights` they are initializers that lie nowhere yet: `onnx.TensorProto.EXTERNAL`, of no file.

    Tracing (`dynamo=False`) rather than `torch.export`: diffusers' blocks have no data-dependent branches, sizes stay symbolic without
    guards on what they divide by, and it takes a tenth of the time.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad(), mock.patch("torch.Tensor.unflatten", unflatten):
        # Shape checks inside diffusers become constants of the trace; `verify` runs other sizes than the traced one.
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            part.module.eval(),
            tuple(part.inputs.values()),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(part.inputs),
            output_names=part.outputs,
            dynamic_axes=part.axes,
            export_params=weights,
            # What has the same values is made one tensor otherwise, and without weights all of them may have.
            keep_initializers_as_inputs=not weights,
        )
        model = onnx.load(path)
    if not weights:
        declare_weights(model, set(part.inputs))
    strip(model)
    return model


def declare_weights(model: onnx.ModelProto, inputs: set[str]) -> None:
    """Turns what is no input of the part into initializers without values."""
    graph = model.graph
    given = list(graph.input)
    del graph.input[:]
    graph.input.extend(one for one in given if one.name in inputs)
    for one in given:
        if one.name not in inputs:
            kind = one.type.tensor_type
            dims = [axis.dim_value for axis in kind.shape.dim]
            graph.initializer.add(name=one.name, data_type=kind.elem_type, dims=dims, data_location=onnx.TensorProto.EXTERNAL)


def strip(model: onnx.ModelProto) -> None:
    """Takes out what depends on this machine, and the shapes of inner tensors, which hold for the traced size only."""
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "sada", ""
    del model.graph.value_info[:]
    for one in [*model.graph.node, *model.graph.input, *model.graph.output]:
        one.doc_string = ""
    short = {name: f"v{k}" for k, name in enumerate(dict.fromkeys(name for node in model.graph.node for name in node.output))}
    for name in (one.name for one in [*model.graph.output, *model.graph.input, *model.graph.initializer]):
        short.pop(name, None)
    for k, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{k}"
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]


class WeightFile:
    """The tensors of several models in one file, each stored once however many models hold it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.file = path.open("wb")
        self.places: dict[bytes, tuple[int, int]] = {}

    def __enter__(self) -> "WeightFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def place(self, data: bytes) -> tuple[int, int]:
        """(offset, length) of the bytes, appended when they are new."""
        key = hashlib.sha256(data).digest()
        if key not in self.places:
            self.file.write(b"\0" * (aligned(self.file.tell(), len(data)) - self.file.tell()))
            self.places[key] = (self.file.tell(), len(data))
            self.file.write(data)
        return self.places[key]

    def take(self, model: onnx.ModelProto) -> None:
        """Moves the model's tensors into the file."""
        for tensor in tensors_of(model):
            data = tensor.raw_data if tensor.HasField("raw_data") else numpy_helper.to_array(tensor).tobytes()
            if len(data) < SMALLEST_OUTSIDE:
                continue
            move_out(tensor, self.path.name, *self.place(data))


def aligned(offset: int, length: int) -> int:
    """Where a tensor starts that may not start before `offset`: whole pages for large ones, so that a runtime can map them; cache lines for the others."""
    alignment = 4096 if length >= 1 << 20 else 64
    return -(-offset // alignment) * alignment


def move_out(tensor: onnx.TensorProto, file: str, offset: int, length: int) -> None:
    """Makes a tensor say that its bytes are there."""
    for name in ("raw_data", "float_data", "int64_data", "int32_data", "double_data"):
        tensor.ClearField(name)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", file), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def tensors_of(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    constants = [a.t for node in model.graph.node if node.op_type == "Constant" for a in node.attribute if a.name == "value"]
    return [*model.graph.initializer, *constants]


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
