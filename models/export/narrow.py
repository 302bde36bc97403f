"""A float32 model in half precision, but for what half precision would spoil."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .graph import OPSET

TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
NAMES = {"fp16": "tensor(float16)", "bf16": "tensor(bfloat16)"}
# Sums of many values, and differences of close ones: their inputs are widened and their outputs narrowed again.
WIDE = {"InstanceNormalization", "LayerNormalization", "Softmax", "ReduceMean", "Pow", "Sqrt", "Sin", "Cos", "Range", "Erf"}
# Angles of times and positions have no digits to lose: what leads to these stays float32, inputs of the network too.
ANGLES = {"Sin", "Cos"}
# Inputs that have a type of their own, whatever the first one's.
FIXED_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
FLOAT = TensorProto.FLOAT


def narrow(model: onnx.ModelProto, dtype: str) -> None:
    """Turns weights, activations, and the inputs and outputs that are not times or positions to `dtype`, in place."""
    Narrowing(model, dtype).run()


def exists(operator: str, kind: str) -> bool:
    """Whether the opset has the operator in this type: of bfloat16 opset 18 lacks Conv, ConvTranspose and Einsum."""
    inputs = onnx.defs.get_schema(operator, OPSET).inputs
    return not inputs or any(kind in one.types for one in inputs)


class Narrowing:
    def __init__(self, model: onnx.ModelProto, dtype: str) -> None:
        self.graph, self.half = model.graph, TYPES[dtype]
        inferred = onnx.shape_inference.infer_shapes(without_weights(model)).graph
        types = {one.name: one.type.tensor_type.elem_type for one in (*inferred.input, *inferred.output, *inferred.value_info)}
        types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        self.floats = {name for name, kind in types.items() if kind == FLOAT}
        self.drop_casts()
        unknown = [name for node in model.graph.node for name in node.output if name not in types]
        if unknown:
            raise NotImplementedError(f"type of {unknown[0]} and {len(unknown) - 1} others could not be inferred")
        self.exact = self.exact_nodes()
        self.wide = self.exact | {k for k, node in enumerate(self.graph.node) if node.op_type in WIDE or not exists(node.op_type, NAMES[dtype])}
        self.wide |= self.between()
        self.casts: dict[tuple[str, int], str] = {}
        self.made: dict[str, int] = {}

    def drop_casts(self) -> None:
        """Takes out casts from float to float. As ones from half to half they make ONNX Runtime 1.30 refuse a model on the CPU."""
        outputs = {one.name for one in self.graph.output}
        same: dict[str, str] = {}
        kept = []
        for node in self.graph.node:
            node.input[:] = [same.get(name, name) for name in node.input]
            is_idle = node.op_type in ("Cast", "CastLike") and node.input[0] in self.floats and node.output[0] in self.floats - outputs
            if is_idle:
                same[node.output[0]] = node.input[0]
            else:
                kept.append(node)
        del self.graph.node[:]
        self.graph.node.extend(kept)

    def exact_nodes(self) -> set[int]:
        """Positions of the nodes that lead to angles and to whole numbers, and of those that make them."""
        maker = {name: k for k, node in enumerate(self.graph.node) for name in node.output if name in self.floats}
        exact = {k for k, node in enumerate(self.graph.node) if node.op_type in ANGLES or self.rounds(node)}
        pending = sorted(exact)
        while pending:
            before = {maker[name] for name in self.graph.node[pending.pop()].input if name in maker} - exact
            exact |= before
            pending += before
        return exact

    def between(self) -> set[int]:
        """Positions of the nodes from wide ones to wide ones alone: a mean of squares, to which a norm of several nodes adds ε, may overflow."""
        nodes = list(enumerate(self.graph.node))
        constants = {tensor.name for tensor in self.graph.initializer} | {name for _, node in nodes if node.op_type == "Constant" for name in node.output}
        wide = {name for k in self.wide for name in self.graph.node[k].output}
        narrow = {one.name for one in self.graph.output} | {name for k, node in nodes if k not in self.wide for name in node.input}

        def is_between(node: onnx.NodeProto) -> bool:
            computed = self.floats.intersection(node.input) - constants
            return bool(computed) and computed <= wide and narrow.isdisjoint(node.output)

        return {k for k, node in nodes if k not in self.wide and is_between(node)}

    def rounds(self, node: onnx.NodeProto) -> bool:
        """Whether the node makes whole numbers of floats, as T5 makes buckets of distances: one digit lost is another bucket."""
        return node.op_type == "Cast" and node.input[0] in self.floats and node.output[0] not in self.floats

    def run(self) -> None:
        angles = {name for k in self.exact for name in self.graph.node[k].input}
        fixed = {node.input[k] for node in self.graph.node for k in FIXED_INPUTS.get(node.op_type, ()) if k < len(node.input)}
        weights = fixed | {name for k in self.wide for name in self.graph.node[k].input}
        for one in self.graph.input:
            if one.name in self.floats:
                # The inputs of a norm are half, so that a stage takes what another gives.
                self.made[one.name] = FLOAT if one.name in angles else self.half
                one.type.tensor_type.elem_type = self.made[one.name]
        for tensor in self.graph.initializer:
            if tensor.name in self.floats:
                self.made[tensor.name] = FLOAT if tensor.name in weights else self.half
                if self.made[tensor.name] == self.half:
                    convert(tensor, self.half)
        nodes = list(self.graph.node)
        del self.graph.node[:]
        for k, node in enumerate(nodes):
            self.put(node, k in self.wide)
        for one in self.graph.output:
            if one.name in self.floats:
                one.type.tensor_type.elem_type = self.half
                self.rename_output(one.name)

    def put(self, node: onnx.NodeProto, wide: bool) -> None:
        """Appends a node, after casts of the inputs that it does not have in its own type."""
        own = FLOAT if wide else self.half
        for position, name in enumerate(node.input):
            if name in self.floats:
                wanted = FLOAT if position in FIXED_INPUTS.get(node.op_type, ()) else own
                node.input[position] = self.cast(name, wanted)
        for name in node.output:
            if name in self.floats:
                self.made[name] = own
        for attribute in node.attribute:
            if not wide and node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
                attribute.i = self.half
            if not wide and attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == FLOAT:
                convert(attribute.t, self.half)
        self.graph.node.append(node)

    def cast(self, name: str, wanted: int) -> str:
        if self.made[name] == wanted:
            return name
        if (name, wanted) not in self.casts:
            self.casts[name, wanted] = f"{name}_as_{wanted}"
            self.graph.node.append(helper.make_node("Cast", [name], [self.casts[name, wanted]], to=wanted, name=f"Cast_{len(self.casts)}_of_type"))
        return self.casts[name, wanted]

    def rename_output(self, name: str) -> None:
        """An output that a wide node makes is cast under its own name."""
        if self.made[name] == self.half:
            return
        for node in self.graph.node:
            node.input[:] = [f"{name}_wide" if one == name else one for one in node.input]
            node.output[:] = [f"{name}_wide" if one == name else one for one in node.output]
        self.graph.node.append(helper.make_node("Cast", [f"{name}_wide"], [name], to=self.half, name=f"Cast_{name}"))


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large tensors are inputs: types can be inferred from it, at no cost in memory."""
    copy = onnx.ModelProto()
    for field in ("ir_version", "producer_name"):
        setattr(copy, field, getattr(model, field))
    copy.opset_import.extend(model.opset_import)
    copy.graph.name = model.graph.name
    copy.graph.node.extend(model.graph.node)
    copy.graph.input.extend(model.graph.input)
    copy.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL and len(tensor.raw_data) <= 1024:
            copy.graph.initializer.append(tensor)
        else:
            copy.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return copy


def convert(tensor: TensorProto, kind: int) -> None:
    """To half precision; what is larger than the largest float16 becomes that. Of weights that lie nowhere yet, the type alone."""
    if tensor.data_location == TensorProto.EXTERNAL:
        tensor.data_type = kind
        return
    values = numpy_helper.to_array(tensor)
    if kind == TensorProto.FLOAT16:
        values = np.clip(values, -65504, 65504)
    tensor.CopyFrom(numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(kind)), tensor.name))
