"""The stages of `avatar_network.py` as ONNX graphs, laid out for speed: the same functions, fewer passes over memory.

What differs from the PyTorch text, always by algebra that leaves the values alone up to rounding:
- constants are worked into the weights when a runtime loads the file: the attention scale into the queries, the 1 of `1 + scale`
  into the bias that makes `scale`;
- a group norm's gain and bias and the modulation after it become one gain and one bias per channel;
- the prompt's keys and values come from the text encoder, so that blocks cost nothing for words.
"""

from collections.abc import Mapping

import numpy as np
import onnx

from avatar_network import CHANNELS, CONV_WIDTH, FREQUENCIES, GRID, HEADS, PIXELS, TEXT_LENGTH, TEXT_WIDTH, WIDTH
from onnx_graph import Graph

GROUPS = 8
SIDE = 2 * GRID  # of the stem's and the head's maps
PICTURE = PIXELS * SIDE
TOKENS = GRID * GRID
SPANS = {"first": [0], "middle": [1, 2, 3, 4], "last": [5]}  # stage → its blocks

Weights = Mapping[str, np.ndarray]


class Part(Graph):
    """A graph that knows the checkpoint."""

    def __init__(self, name: str, weights: Weights) -> None:
        super().__init__(name)
        self.checkpoint = weights

    def parameter(self, name: str) -> str:
        return self.weight(name, self.checkpoint[name])

    def linear(self, x: str, name: str, gain: np.ndarray | None = None, offset: np.ndarray | None = None) -> str:
        """x·W + b on [anything, channels], where outputs may be multiplied by `gain` and then raised by `offset`."""
        weight = self.weight(f"{name}.weight", self.checkpoint[f"{name}.weight"].T)
        bias = self.parameter(f"{name}.bias")
        if gain is not None:
            weight, bias = self.multiply(weight, self.constant(gain)), self.multiply(bias, self.constant(gain))
        if offset is not None:
            bias = self.add(bias, self.constant(offset))
        return self.node("Gemm", x, weight, bias)

    def layer_norm(self, x: str, width: int, name: str | None = None) -> str:
        if name is None:
            return self.node("LayerNormalization", x, self.constant(np.ones(width)), self.constant(np.zeros(width)), axis=-1)
        return self.node("LayerNormalization", x, self.parameter(f"{name}.weight"), self.parameter(f"{name}.bias"), axis=-1)

    def mlp(self, x: str, name: str) -> str:
        return self.linear(self.gelu(self.linear(x, f"{name}.0")), f"{name}.2")

    def convolution(self, x: str, name: str, **attributes) -> str:
        return self.node("Conv", x, self.parameter(f"{name}.weight"), self.parameter(f"{name}.bias"), **attributes)

    def same_convolution(self, x: str, name: str) -> str:
        return self.convolution(x, name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    def normalized(self, x: str, width: int) -> str:
        """Zero mean and unit variance within each group of channels."""
        groups = self.reshape(x, [0, GROUPS, -1])
        size = width // GROUPS * SIDE * SIDE
        return self.reshape(self.layer_norm(groups, size), [0, width, SIDE, SIDE])

    def per_channel(self, name: str) -> str:
        """A vector of the checkpoint as [channels, 1, 1]."""
        return self.reshape(self.parameter(name), [-1, 1, 1])

    def group_norm(self, x: str, width: int, name: str) -> str:
        x = self.multiply(self.normalized(x, width), self.per_channel(f"{name}.weight"))
        return self.add(x, self.per_channel(f"{name}.bias"))

    def residual(self, x: str, embedding: str, name: str, inputs: int) -> str:
        hidden = self.silu(self.group_norm(x, inputs, f"{name}.n1"))
        hidden = self.normalized(self.same_convolution(hidden, f"{name}.c1"), CONV_WIDTH)
        one = np.repeat([1.0, 0.0], CONV_WIDTH)
        modulation = self.reshape(self.linear(embedding, f"{name}.e", offset=one), [0, 2 * CONV_WIDTH, 1, 1])
        scale, shift = self.split(modulation, 2, axis=1)
        gain = self.multiply(scale, self.per_channel(f"{name}.n2.weight"))
        bias = self.add(self.multiply(scale, self.per_channel(f"{name}.n2.bias")), shift)
        hidden = self.silu(self.add(self.multiply(hidden, gain), bias))
        kept = x if inputs == CONV_WIDTH else self.convolution(x, f"{name}.k", kernel_shape=[1, 1])
        return self.add(kept, self.same_convolution(hidden, f"{name}.c2"))


class TokenPart(Part):
    """A part whose tokens are [rows, kept, channels], both free: linear layers work on all tokens as one matrix, `flat`."""

    def __init__(self, name: str, weights: Weights, width: int) -> None:
        super().__init__(name, weights)
        self.width = width

    def follow(self, x: str) -> None:
        """The number of rows is that of x from here on."""
        rows = self.node("Shape", x, start=0, end=1)

        def shape(*rest: int) -> str:
            return self.node("Concat", rows, self.constant(list(rest)), axis=0)

        head = self.width // HEADS
        self.shape_tokens = shape(-1, self.width)
        self.shape_parts = {parts: shape(-1, parts, HEADS, head) for parts in (1, 2, 3)}

    def flat(self, x: str) -> str:
        return self.reshape(x, [-1, self.width])

    def tokens(self, x: str) -> str:
        return self.node("Reshape", x, self.shape_tokens)

    def heads(self, x: str, parts: int) -> list[str]:
        """[rows·kept, parts·width] → for each part [rows, heads, kept, width / heads]."""
        x = self.transpose(self.node("Reshape", x, self.shape_parts[parts]), [2, 0, 3, 1, 4])
        return [self.node("Squeeze", part, self.constant([0])) for part in self.split(x, parts, axis=0)]

    def attention(self, query: str, key: str, value: str) -> str:
        """Queries come scaled. [rows, heads, …, width / heads] → [rows·kept, width]."""
        weights = self.node("Softmax", self.node("MatMul", query, self.transpose(key, [0, 1, 3, 2])), axis=-1)
        return self.flat(self.transpose(self.node("MatMul", weights, value), [0, 2, 1, 3]))

    @property
    def query_scale(self) -> float:
        return (self.width // HEADS) ** -0.5

    def self_attention(self, x: str, name: str) -> str:
        scale = np.repeat([self.query_scale, 1.0, 1.0], self.width)
        return self.attention(*self.heads(self.linear(x, name, gain=scale), 3))


class BlocksPart(TokenPart):
    """A run of transformer blocks."""

    def block(self, x: str, embedding: str, context: str, name: str) -> str:
        one = np.repeat([1.0, 0.0, 0.0, 1.0, 0.0, 0.0], WIDTH)
        modulation = self.node("Unsqueeze", self.linear(embedding, f"{name}.ad", offset=one), self.constant([1]))
        scale, shift, gate, scale2, shift2, gate2 = self.split(modulation, 6, axis=2)

        hidden = self.self_attention(self.flat(self.modulated(x, scale, shift)), f"{name}.qkv")
        x = self.add(x, self.multiply(gate, self.tokens(self.linear(hidden, f"{name}.o"))))

        hidden = self.cross_attention(self.flat(self.layer_norm(x, WIDTH, f"{name}.nc")), context, f"{name}.cq")
        x = self.add(x, self.tokens(self.linear(hidden, f"{name}.co")))

        hidden = self.mlp(self.flat(self.modulated(x, scale2, shift2)), f"{name}.m")
        return self.add(x, self.multiply(gate2, self.tokens(hidden)))

    def modulated(self, x: str, scale: str, shift: str) -> str:
        return self.add(self.multiply(self.layer_norm(x, WIDTH), scale), shift)

    def cross_attention(self, x: str, context: str, name: str) -> str:
        (query,) = self.heads(self.linear(x, name, gain=np.full(WIDTH, self.query_scale)), 1)
        return self.attention(query, *self.heads(context, 2))


def text_part(weights: Weights) -> onnx.ModelProto:
    part = TokenPart("text", weights, TEXT_WIDTH)
    ids = part.input("ids", ["rows", TEXT_LENGTH], "int64")
    x = part.add(part.node("Gather", part.parameter("text.e.weight"), ids), part.parameter("text.p"))
    part.follow(x)
    for name in ("text.b.0", "text.b.1"):
        hidden = part.self_attention(part.flat(part.layer_norm(x, TEXT_WIDTH, f"{name}.n1")), f"{name}.qkv")
        x = part.add(x, part.tokens(part.linear(hidden, f"{name}.o")))
        hidden = part.mlp(part.flat(part.layer_norm(x, TEXT_WIDTH, f"{name}.n2")), f"{name}.m")
        x = part.add(x, part.tokens(hidden))
    text = part.layer_norm(x, TEXT_WIDTH, "text.n")
    pooled = part.node("ReduceMean", text, part.constant([1]), keepdims=0)
    part.output("pooled", pooled, ["rows", TEXT_WIDTH])
    for stage, blocks in SPANS.items():
        contexts = [part.linear(part.flat(text), f"blocks.{k}.ckv") for k in blocks]
        shaped = [part.reshape(context, [-1, 1, TEXT_LENGTH, 2 * WIDTH]) for context in contexts]
        if len(blocks) == 1:
            part.output(f"context_{stage}", part.node("Squeeze", shaped[0], part.constant([1])), ["rows", TEXT_LENGTH, 2 * WIDTH])
        else:
            part.output(f"context_{stage}", part.node("Concat", *shaped, axis=1), ["rows", len(blocks), TEXT_LENGTH, 2 * WIDTH])
    return part.model()


def embed_part(weights: Weights) -> onnx.ModelProto:
    part = Part("embed", weights)
    sample = part.input("sample", ["rows", 3, PICTURE, PICTURE])
    level = part.input("level", ["rows"])
    pooled = part.input("pooled", ["rows", TEXT_WIDTH])

    steps = np.arange(FREQUENCIES, dtype=np.float32) / FREQUENCIES
    frequencies = part.constant(1000 * np.exp(np.float32(-np.log(1e4)) * steps))
    angles = part.multiply(part.node("Unsqueeze", level, part.constant([1])), frequencies)
    waves = part.node("Concat", part.node("Cos", angles), part.node("Sin", angles), axis=1)
    time = part.linear(part.silu(part.linear(waves, "t.0")), "t.2")
    embedding = part.silu(part.add(time, part.linear(pooled, "tp")))

    # Folding 4×4 pixels into channels and then a 3×3 convolution is one 12×12 convolution with stride 4.
    kernel = weights["ci.weight"].reshape(CONV_WIDTH, 3, PIXELS, PIXELS, 3, 3).transpose(0, 1, 4, 2, 5, 3)
    kernel = part.weight("ci.weight", kernel.reshape(CONV_WIDTH, 3, 3 * PIXELS, 3 * PIXELS))
    bias = part.parameter("ci.bias")
    skip = part.node("Conv", sample, kernel, bias, kernel_shape=[3 * PIXELS] * 2, strides=[PIXELS] * 2, pads=[PIXELS] * 4)
    for k in range(2):
        skip = part.residual(skip, embedding, f"d.{k}", CONV_WIDTH)
    grid = part.convolution(skip, "down", kernel_shape=[2, 2], strides=[2, 2])
    tokens = part.transpose(part.reshape(grid, [0, WIDTH, TOKENS]), [0, 2, 1])

    part.output("hidden_0", part.add(tokens, part.parameter("pos")), ["rows", TOKENS, WIDTH])
    part.output("skip", skip, ["rows", CONV_WIDTH, SIDE, SIDE])
    part.output("embedding", embedding, ["rows", WIDTH])
    return part.model()


def blocks_part(weights: Weights, stage: str, at: int) -> onnx.ModelProto:
    blocks = SPANS[stage]
    part = BlocksPart(stage, weights, WIDTH)
    x = part.input(f"hidden_{at}", ["rows", "kept", WIDTH])
    embedding = part.input("embedding", ["rows", WIDTH])
    context_shape = ["rows", *([len(blocks)] if len(blocks) > 1 else []), TEXT_LENGTH, 2 * WIDTH]
    context = part.input(f"context_{stage}", context_shape)
    contexts = [context]
    if len(blocks) > 1:
        contexts = [part.node("Squeeze", one, part.constant([1])) for one in part.split(context, len(blocks), axis=1)]
    part.follow(x)
    for k, own in zip(blocks, contexts):
        x = part.block(x, embedding, own, f"blocks.{k}")
    part.output(f"hidden_{at + 1}", x, ["rows", "kept", WIDTH])
    return part.model()


def head_part(weights: Weights) -> onnx.ModelProto:
    part = Part("head", weights)
    tokens = part.input("hidden_3", ["rows", TOKENS, WIDTH])
    skip = part.input("skip", ["rows", CONV_WIDTH, SIDE, SIDE])
    embedding = part.input("embedding", ["rows", WIDTH])

    grid = part.reshape(part.transpose(tokens, [0, 2, 1]), [0, WIDTH, GRID, GRID])
    grid = part.node("ConvTranspose", grid, part.parameter("up.weight"), part.parameter("up.bias"), kernel_shape=[2, 2], strides=[2, 2])
    hidden = part.node("Concat", grid, skip, axis=1)
    for k in range(3):
        hidden = part.residual(hidden, embedding, f"u.{k}", (2 if k == 0 else 1) * CONV_WIDTH)
    hidden = part.same_convolution(part.silu(part.group_norm(hidden, CONV_WIDTH, "no")), "co")

    part.output("denoised", part.node("DepthToSpace", hidden, blocksize=PIXELS, mode="CRD"), ["rows", 3, PICTURE, PICTURE])
    return part.model()


def build(weights: Weights) -> dict[str, onnx.ModelProto]:
    parts = {"text": text_part(weights), "embed": embed_part(weights)}
    for at, stage in enumerate(SPANS):
        parts[stage] = blocks_part(weights, stage, at)
    return {**parts, "head": head_part(weights)}
