"""The Inception network of FID and KID as an ONNX graph: a picture of 299×299 in [-1, 1] in, 2048 features out.

    python convert_inception.py --weights pt_inception-2015-12-05-6726825d.pth --out FOLDER
    python convert_inception.py --verify-random                     # compares the graph with pytorch-fid's network, writes nothing

--weights  https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth

It differs from torchvision's Inception as TensorFlow's of 2015 did: 1008 classes, average pools that leave out the padding, and a
maximum instead of an average in the last block. Batch normalisation is folded into the convolutions, in float64.
"""

import argparse

import numpy as np
import torch

from network_files import Graph, compare, published, run, write

SIZE = 299
FEATURES = 2048
EPSILON = 0.001  # of the batch normalisations


class Inception:
    """Builds the graph from a state dict, module by module, named as torchvision names them."""

    def __init__(self, state):
        self.state = {name: value.double().numpy() for name, value in state.items()}
        self.graph = Graph("inception-fid")

    def conv(self, x, name, stride=1, padding=None):
        """Convolution, batch normalisation, ReLU. `padding` left out: what keeps the size."""
        weight = self.state[f"{name}.conv.weight"]
        gamma, beta, mean, var = (
            self.state[f"{name}.bn.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(var + EPSILON)
        kernel = weight.shape[2:]
        pads = [k // 2 for k in kernel] if padding is None else [padding] * 2
        bias = beta - mean * scale
        return self.graph.node(
            "Relu", self.graph.convolution(x, weight * scale[:, None, None, None], bias, [stride] * 2, pads)
        )

    def chain(self, x, block, *names):
        for name in names:
            x = self.conv(x, f"{block}.{name}")
        return x

    def concat(self, *branches):
        return self.graph.node("Concat", *branches, axis=1)

    def average(self, x):
        return self.graph.node(
            "AveragePool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4, count_include_pad=0
        )

    def block_a(self, x, name):
        return self.concat(
            self.chain(x, name, "branch1x1"),
            self.chain(x, name, "branch5x5_1", "branch5x5_2"),
            self.chain(x, name, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
            self.chain(self.average(x), name, "branch_pool"),
        )

    def block_b(self, x, name):
        double = self.chain(x, name, "branch3x3dbl_1", "branch3x3dbl_2")
        return self.concat(
            self.conv(x, f"{name}.branch3x3", 2, 0),
            self.conv(double, f"{name}.branch3x3dbl_3", 2, 0),
            self.graph.max_pool(x, 3, 2),
        )

    def block_c(self, x, name):
        return self.concat(
            self.chain(x, name, "branch1x1"),
            self.chain(x, name, *(f"branch7x7_{k}" for k in (1, 2, 3))),
            self.chain(x, name, *(f"branch7x7dbl_{k}" for k in (1, 2, 3, 4, 5))),
            self.chain(self.average(x), name, "branch_pool"),
        )

    def block_d(self, x, name):
        return self.concat(
            self.conv(self.chain(x, name, "branch3x3_1"), f"{name}.branch3x3_2", 2, 0),
            self.conv(self.chain(x, name, *(f"branch7x7x3_{k}" for k in (1, 2, 3))), f"{name}.branch7x7x3_4", 2, 0),
            self.graph.max_pool(x, 3, 2),
        )

    def block_e(self, x, name, pooled):
        single = self.chain(x, name, "branch3x3_1")
        double = self.chain(x, name, "branch3x3dbl_1", "branch3x3dbl_2")
        return self.concat(
            self.chain(x, name, "branch1x1"),
            *(self.chain(single, name, f"branch3x3_2{k}") for k in "ab"),
            *(self.chain(double, name, f"branch3x3dbl_3{k}") for k in "ab"),
            self.chain(pooled, name, "branch_pool"),
        )

    def model(self):
        x = self.graph.input("picture", ["rows", 3, SIZE, SIZE])
        x = self.conv(x, "Conv2d_1a_3x3", 2, 0)
        x = self.conv(x, "Conv2d_2a_3x3", 1, 0)
        x = self.conv(x, "Conv2d_2b_3x3")
        x = self.graph.max_pool(x, 3, 2)
        x = self.conv(x, "Conv2d_3b_1x1")
        x = self.conv(x, "Conv2d_4a_3x3", 1, 0)
        x = self.graph.max_pool(x, 3, 2)
        for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self.block_a(x, name)
        x = self.block_b(x, "Mixed_6a")
        for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self.block_c(x, name)
        x = self.block_d(x, "Mixed_7a")
        x = self.block_e(x, "Mixed_7b", self.average(x))
        x = self.block_e(x, "Mixed_7c", self.graph.max_pool(x, 3, 1, 1))
        pooled = self.graph.node("Flatten", self.graph.node("GlobalAveragePool", x), axis=1)
        self.graph.output("features", pooled, ["rows", FEATURES])
        return self.graph.model()


def reference(state):
    """pytorch-fid's network with these weights; without them (None) what it has before it loads any."""
    import pytorch_fid.inception as package

    original, loaded = package.load_state_dict_from_url, []
    package.load_state_dict_from_url = lambda *_, **__: state if state is not None else loaded[0].state_dict()
    make = package._inception_v3
    if state is None:  # its own fresh weights are "loaded" back into it
        package._inception_v3 = lambda *a, **k: loaded.append(make(*a, **k)) or loaded[0]
    try:
        network = package.InceptionV3([3], resize_input=False, normalize_input=False)
    finally:
        package.load_state_dict_from_url, package._inception_v3 = original, make
    return network.eval(), (loaded[0] if loaded else None)


def random_state(seed):
    """Weights under which the activations keep their size, and batch normalisations that do something."""
    generator = torch.Generator().manual_seed(seed)
    _, network = reference(None)
    state = network.state_dict()
    for name, value in state.items():
        noise = torch.randn(value.shape, generator=generator) if value.is_floating_point() else value
        if name.endswith("conv.weight"):
            value.copy_(noise * (2 / value[0].numel()) ** 0.5)
        elif name.endswith(("bn.running_var", "bn.weight")):
            value.copy_(noise.abs() / 2 + 0.6)
        elif value.is_floating_point():
            value.copy_(noise / 5)
    return state


def verify(model, state):
    network, _ = reference(state)
    pictures = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = network(pictures)[0][:, :, 0, 0].numpy()
    print(f"features: from {expected.min():.3g} to {expected.max():.3g}")
    compare("features", run(model, picture=pictures.numpy())[0], expected, 1e-5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights")
    parser.add_argument("--out")
    parser.add_argument("--verify-random", action="store_true")
    arguments = parser.parse_args()
    if arguments.verify_random:
        state = random_state(0)
        verify(Inception(state).model(), state)
        return
    if arguments.weights is None or arguments.out is None:
        parser.error("--weights and --out are needed")
    sources = {"network": published(arguments.weights, "pt_inception-2015-12-05-6726825d.pth")}
    state = torch.load(arguments.weights, map_location="cpu", weights_only=True)
    model = Inception(state).model()
    verify(model, state)
    write(arguments.out, "inception-fid", sources, {"network": model}, features=FEATURES)


if __name__ == "__main__":
    main()
