"""LPIPS with AlexNet, version 0.1: the trunk as an ONNX graph, the linear weights in its sidecar.

    python convert_lpips.py --trunk alexnet-owt-7be5be79.pth --out FOLDER

--trunk   torchvision's AlexNet, https://download.pytorch.org/models/alexnet-owt-7be5be79.pth
--linear  lpips/weights/v0.1/alex.pth; left out: that of the installed lpips package
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from network_files import Graph, compare, published, run, write

LAYERS = (0, 3, 6, 8, 10)  # of torchvision's alexnet.features: the convolutions
STRIDES = (4, 1, 1, 1, 1)
PADDINGS = (2, 2, 1, 1, 1)
POOLED = (1, 2)  # a 3×3 maximum over stride 2 comes before these convolutions


def trunk_graph(convolutions):
    """convolutions: five (weight [out, in, k, k], bias [out]), of any width. Input: pictures after LPIPS' own scaling."""
    graph = Graph("lpips-alex-trunk")
    x = graph.input("picture", ["rows", 3, "height", "width"])
    for k, (weight, bias) in enumerate(convolutions):
        if k in POOLED:
            x = graph.max_pool(x, 3, 2)
        x = graph.node("Relu", graph.convolution(x, weight, bias, [STRIDES[k]] * 2, [PADDINGS[k]] * 2))
        graph.output(f"tap{k}", x, ["rows", weight.shape[0], f"height{k}", f"width{k}"])
    return graph.model()


def convert(convolutions, linear, sources, folder):
    """linear: five float32 arrays, one weight per channel."""
    model = trunk_graph(convolutions)
    verify(model, convolutions, linear)
    weights = [[float(w) for w in layer] for layer in linear]
    write(folder, "lpips-alex", sources, {"trunk": model}, linear=weights)


def reference(convolutions, linear):
    """The lpips package's own network with these weights in place of its own, whatever their width."""
    import lpips

    network = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    slices = [getattr(network.net, f"slice{k + 1}") for k in range(5)]
    for k, ((weight, bias), lin) in enumerate(zip(convolutions, linear)):
        weight, bias = torch.tensor(np.asarray(weight)), torch.tensor(np.asarray(bias))
        layer = torch.nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], STRIDES[k], PADDINGS[k])
        layer.weight, layer.bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)
        setattr(slices[k], str(LAYERS[k]), layer)
        network.lins[k].model[-1].weight = torch.nn.Parameter(torch.tensor(np.asarray(lin)).reshape(1, -1, 1, 1))
    return network.eval().requires_grad_(False)


def verify(model, convolutions, linear):
    network = reference(convolutions, linear)
    pictures = torch.rand(2, 3, 70, 65, generator=torch.Generator().manual_seed(0)) * 2 - 1
    scaled = network.scaling_layer(pictures)
    taps = zip(run(model, picture=scaled.numpy()), network.net.forward(scaled))
    for k, (found, expected) in enumerate(taps):
        compare(f"tap {k}", found, expected.numpy(), 1e-5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trunk", required=True)
    parser.add_argument("--linear")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    linear = arguments.linear
    if linear is None:
        import lpips

        linear = Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth"
    sources = {
        "trunk": published(arguments.trunk, "alexnet-owt-7be5be79.pth"),
        "linear": published(linear, "alex.pth"),
    }
    trunk = torch.load(arguments.trunk, map_location="cpu", weights_only=True)
    lin = torch.load(linear, map_location="cpu", weights_only=True)
    convolutions = [(trunk[f"features.{k}.weight"].numpy(), trunk[f"features.{k}.bias"].numpy()) for k in LAYERS]
    convert(convolutions, [lin[f"lin{k}.model.1.weight"].flatten().numpy() for k in range(5)], sources, arguments.out)


if __name__ == "__main__":
    main()
