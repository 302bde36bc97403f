"""A small builder for ONNX graphs: operators as methods, tensors as names, nothing that depends on the machine.

Weights are stored as float16 and cast to float32 in the graph. A runtime folds the cast when it loads the model, so files take half
the room and the arithmetic stays float32. What is computed from weights alone (`transposed`, `scaled`) is folded as well.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 9  # the one of opset 18's time: older runtimes refuse files that state a newer one
TYPES = {"float": TensorProto.FLOAT, "int64": TensorProto.INT64}


class Graph:
    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.weights: dict[str, str] = {}

    # Tensors

    def input(self, name: str, shape: Sequence[int | str], kind: str = "float") -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TYPES[kind], shape))
        return name

    def output(self, name: str, value: str, shape: Sequence[int | str]) -> None:
        """Gives a tensor the name under which it leaves the graph."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [name if one == value else one for one in names]
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def weight(self, name: str, value: np.ndarray) -> str:
        """A tensor of the checkpoint as float32. Its values must be float16 numbers already."""
        if name not in self.weights:
            half = value.astype(np.float16)
            if not np.array_equal(half.astype(np.float32), value):
                raise ValueError(f'Expected "{name}" to hold float16 numbers')
            self._initialize(name, half)
            self.weights[name] = self.node("Cast", name, to=TensorProto.FLOAT)
        return self.weights[name]

    def constant(self, value: np.ndarray | Sequence[int] | float) -> str:
        """A small float32 or int64 tensor; equal ones are shared."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        for name, tensor in self.initializers.items():
            if tensor.raw_data == array.tobytes() and tuple(tensor.dims) == array.shape:
                return name
        return self._initialize(f"constant_{len(self.initializers)}", array)

    def _initialize(self, name: str, value: np.ndarray) -> str:
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        return name

    # Operators

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes) -> str | list[str]:
        name = f"{operator}_{len(self.nodes)}"
        made = [name] if outputs == 1 else [f"{name}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, made, name=name, **attributes))
        return made[0] if outputs == 1 else made

    def add(self, a: str, b: str) -> str:
        return self.node("Add", a, b)

    def multiply(self, a: str, b: str) -> str:
        return self.node("Mul", a, b)

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """0 keeps the dimension of x in that place, -1 takes what is left."""
        return self.node("Reshape", x, self.constant(list(shape)))

    def transpose(self, x: str, order: Sequence[int]) -> str:
        return self.node("Transpose", x, perm=list(order))

    def split(self, x: str, parts: int, axis: int) -> list[str]:
        return [x] if parts == 1 else self.node("Split", x, outputs=parts, axis=axis, num_outputs=parts)

    def silu(self, x: str) -> str:
        return self.multiply(x, self.node("Sigmoid", x))

    def gelu(self, x: str) -> str:
        """The tanh form, in the shape that ONNX Runtime recognises and fuses."""
        cubed = self.multiply(self.node("Pow", x, self.constant(3.0)), self.constant(0.044715))
        inner = self.multiply(self.add(x, cubed), self.constant((2 / np.pi) ** 0.5))
        outer = self.add(self.node("Tanh", inner), self.constant(1.0))
        return self.multiply(self.multiply(x, self.constant(0.5)), outer)

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, list(self.initializers.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="sada")
        onnx.checker.check_model(model, full_check=True)
        return model
