"""The bundled network: a picture of 64×64 pixels, its noise level and a prompt → the clean picture.

    x0 = network(sample, level, text(ids))

A convolutional stem (a quarter of the resolution) and a strided convolution turn the picture into 8×8 tokens, six transformer
blocks work on the tokens, and a convolutional head with one skip connection turns them back into a picture. Attribute names
are those of the checkpoint, `avatar.safetensors`. Every module is written so that its part of the graph can be exported alone.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 192  # channels of a token
CONV_WIDTH = 96  # channels of the stem and the head
TEXT_WIDTH = 128
TEXT_LENGTH = 40
BLOCKS = 6
HEADS = 4
GRID = 8  # tokens per side
PIXELS = 4  # pixels per side folded into channels before the first convolution
CHANNELS = 3 * PIXELS * PIXELS
FREQUENCIES = 128


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Multi-head attention; [rows, tokens, channels] in and out, any number of tokens on either side."""

    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)

    query, key, value = split(query), split(key), split(value)
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5)
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


def mlp(width: int, growth: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, growth * width), nn.GELU(approximate="tanh"), nn.Linear(growth * width, width))


class TextBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n1 = nn.LayerNorm(TEXT_WIDTH)
        self.qkv = nn.Linear(TEXT_WIDTH, 3 * TEXT_WIDTH)
        self.o = nn.Linear(TEXT_WIDTH, TEXT_WIDTH)
        self.n2 = nn.LayerNorm(TEXT_WIDTH)
        self.m = mlp(TEXT_WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.o(attention(*self.qkv(self.n1(x)).chunk(3, -1)))
        return x + self.m(self.n2(x))


class TextEncoder(nn.Module):
    def __init__(self, words: int) -> None:
        super().__init__()
        self.e = nn.Embedding(words, TEXT_WIDTH)
        self.p = nn.Parameter(torch.randn(TEXT_LENGTH, TEXT_WIDTH) * 0.02)
        self.b = nn.ModuleList(TextBlock() for _ in range(2))
        self.n = nn.LayerNorm(TEXT_WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.e(ids) + self.p
        for block in self.b:
            x = block(x)
        return self.n(x)


class Residual(nn.Module):
    """Two convolutions; the second is modulated by the noise level and the prompt."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.n1 = nn.GroupNorm(8, inputs)
        self.c1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.n2 = nn.GroupNorm(8, outputs)
        self.c2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.e = nn.Linear(WIDTH, 2 * outputs)
        self.k = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.c2.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.e(embedding)[:, :, None, None].chunk(2, 1)
        hidden = self.c1(F.silu(self.n1(x)))
        hidden = self.c2(F.silu(self.n2(hidden) * (1 + scale) + shift))
        return self.k(x) + hidden


class Block(nn.Module):
    """Self-attention and MLP under adaptive layer norm, with cross-attention to the prompt between them."""

    def __init__(self) -> None:
        super().__init__()
        self.ad = nn.Linear(WIDTH, 6 * WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.o = nn.Linear(WIDTH, WIDTH)
        self.cq = nn.Linear(WIDTH, WIDTH)
        self.ckv = nn.Linear(TEXT_WIDTH, 2 * WIDTH)
        self.co = nn.Linear(WIDTH, WIDTH)
        self.m = mlp(WIDTH, 4)
        self.nc = nn.LayerNorm(WIDTH)
        for unused in (self.ad.weight, self.ad.bias, self.co.weight):
            nn.init.zeros_(unused)

    def forward(self, x: Tensor, embedding: Tensor, context: Tensor) -> Tensor:
        """`context` is the keys and values of the prompt, `ckv(text)`: [rows, words, 2·WIDTH]."""
        scale, shift, gate, scale2, shift2, gate2 = self.ad(embedding)[:, None].chunk(6, -1)
        modulated = F.layer_norm(x, (WIDTH,)) * (1 + scale) + shift
        x = x + gate * self.o(attention(*self.qkv(modulated).chunk(3, -1)))
        x = x + self.co(attention(self.cq(self.nc(x)), *context.chunk(2, -1)))
        modulated = F.layer_norm(x, (WIDTH,)) * (1 + scale2) + shift2
        return x + gate2 * self.m(modulated)


class Network(nn.Module):
    def __init__(self, words: int) -> None:
        super().__init__()
        self.text = TextEncoder(words)
        self.t = nn.Sequential(nn.Linear(2 * FREQUENCIES, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.tp = nn.Linear(TEXT_WIDTH, WIDTH)
        self.ci = nn.Conv2d(CHANNELS, CONV_WIDTH, 3, padding=1)
        self.d = nn.ModuleList(Residual(CONV_WIDTH, CONV_WIDTH) for _ in range(2))
        self.down = nn.Conv2d(CONV_WIDTH, WIDTH, 2, 2)
        self.pos = nn.Parameter(torch.randn(1, GRID * GRID, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.up = nn.ConvTranspose2d(WIDTH, CONV_WIDTH, 2, 2)
        self.u = nn.ModuleList(Residual((2 if i == 0 else 1) * CONV_WIDTH, CONV_WIDTH) for i in range(3))
        self.no = nn.GroupNorm(8, CONV_WIDTH)
        self.co = nn.Conv2d(CONV_WIDTH, CHANNELS, 3, padding=1)
        nn.init.zeros_(self.co.weight)

    def forward(self, sample: Tensor, level: Tensor, text: Tensor) -> Tensor:
        hidden, skip, embedding = self.embed(sample, level, text.mean(1))
        for block in self.blocks:
            hidden = block(hidden, embedding, block.ckv(text))
        return self.head(hidden, skip, embedding)

    def embed(self, sample: Tensor, level: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        embedding = F.silu(self.t(waves(level)) + self.tp(pooled))
        hidden = self.ci(F.pixel_unshuffle(sample, PIXELS))
        for residual in self.d:
            hidden = residual(hidden, embedding)
        tokens = self.down(hidden).flatten(2).transpose(1, 2) + self.pos
        return tokens, hidden, embedding

    def head(self, tokens: Tensor, skip: Tensor, embedding: Tensor) -> Tensor:
        grid = tokens.transpose(1, 2).unflatten(2, (GRID, GRID))
        hidden = torch.cat([self.up(grid), skip], 1)
        for residual in self.u:
            hidden = residual(hidden, embedding)
        return F.pixel_shuffle(self.co(F.silu(self.no(hidden))), PIXELS)


def waves(level: Tensor) -> Tensor:
    """The noise level as cosines and sines of 128 frequencies, 1000 … 0.1."""
    frequencies = 1000 * torch.exp(-math.log(1e4) * torch.arange(FREQUENCIES) / FREQUENCIES)
    angles = level[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)


def load(checkpoint: str, words: int) -> Network:
    """The network with the float16 weights of the checkpoint widened to float32."""
    from safetensors.torch import load_file

    network = Network(words)
    network.load_state_dict({name: value.float() for name, value in load_file(checkpoint).items()})
    return network.eval().requires_grad_(False)
