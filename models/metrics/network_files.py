"""Weights in, ONNX graphs with a sidecar out: what the converters of this folder share.

A network `name` becomes `name.json` (the sidecar) and one ONNX file per graph. The sidecar says from which files the weights came,
by sha256; the package compares those with the published ones, and the graphs with their own sums.
"""

import hashlib
import json
import os
from pathlib import Path

# ONNX Runtime reports to its maker what it runs unless it is told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SCHEMA = "sada-metric-network/1"
OPSET = 18
IR_VERSION = 9  # the one of opset 18's time

# The files the published packages download, by what their authors and their users report of them.
PUBLISHED = {
    "alexnet-owt-7be5be79.pth": "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "alex.pth": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    "pt_inception-2015-12-05-6726825d.pth": "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "openai/clip-vit-base-patch32/pytorch_model.bin": "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f",
    "openai/clip-vit-large-patch14/pytorch_model.bin": "f1a17cdbe0f36fec524f5cafb1c261ea3bbbc13e346e0f74fc9eb0460dedd0d3",
}


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def published(path, name):
    """The source entry of a file that must be the published one of that name. Ends the program where it is not."""
    found = sha256(path)
    if found != PUBLISHED[name]:
        raise SystemExit(f"{path} is not the published {name}:\n  its sha256  {found}\n  expected    {PUBLISHED[name]}")
    return {"file": name, "sha256": found}


def random_source(what, arrays):
    """The source entry of weights that nobody published, for tests: by their own bytes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, np.float32).tobytes())
    return {"file": what, "sha256": digest.hexdigest()}


class Graph:
    """An ONNX graph in the making: float32 weights, tensors by name, nothing that depends on the machine."""

    def __init__(self, name):
        self.name, self.nodes, self.weights, self.inputs, self.outputs = name, [], [], [], []

    def input(self, name, shape, kind=TensorProto.FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name, value, shape):
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def weight(self, array):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def integers(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def node(self, operator, *inputs, **attributes):
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def convolution(self, x, weight, bias, stride, padding):
        """weight [out, in, kh, kw]; stride and padding as (height, width)."""
        (sh, sw), (ph, pw) = stride, padding
        return self.node("Conv", x, self.weight(weight), self.weight(bias), strides=[sh, sw], pads=[ph, pw, ph, pw])

    def max_pool(self, x, size, stride, padding=0):
        return self.node("MaxPool", x, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[padding] * 4)

    def model(self):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="sada")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model


def run(model, **inputs):
    """The outputs of a graph, in order, by ONNX Runtime on the CPU."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def compare(what, found, expected, tolerance):
    """Ends the program where a graph's output differs from that of the original network: relative to the largest value."""
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    print(f"{what}: differs by {error:.1e} of the largest value")
    if not error <= tolerance:
        raise SystemExit(f"{what} differs by {error:.1e}, more than {tolerance:.1e}. Nothing was written.")


def write(folder, network, sources, graphs, **fields):
    """`graphs`: name → onnx model. The files of a network, and its sidecar."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entries = {}
    for name, model in graphs.items():
        path = folder / f"{network}.{name}.onnx"
        onnx.save(model, path)
        entries[name] = {"file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}
    sidecar = {"schema": SCHEMA, "network": network, "sources": sources, "graphs": entries, **fields}
    (folder / f"{network}.json").write_text(json.dumps(sidecar, indent=1) + "\n")
    print(f"{folder / network}.json")
