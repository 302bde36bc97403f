"""PixArt cut into embed, first block, remaining blocks and head.

Positions are added in embed: where tokens lie is nothing to the blocks, which take any subset of the image's. The text is read by every block
and changed by none.
"""

from unittest import mock

import torch
from torch import Tensor, nn

from .parts import GRID_POSITIONS, grid_positions, pixart_inputs, pixart_size
from .stages import Cut, Plan, Step


class Embed(Step):
    def forward(self, hidden_states: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, *size: Tensor) -> tuple[Tensor, ...]:
        net = self.transformer
        with mock.patch(GRID_POSITIONS, grid_positions):
            tokens = net.pos_embed(hidden_states)
        modulation, embedding = net.adaln_single(timestep, pixart_size(size), batch_size=tokens.shape[0], hidden_dtype=tokens.dtype)
        return tokens, net.caption_projection(encoder_hidden_states), modulation, embedding


class Blocks(Step):
    def forward(self, tokens: Tensor, text: Tensor, mask: Tensor, modulation: Tensor) -> Tensor:
        # What is masked is made so small in the attention that nothing of it is left.
        bias = (1 - mask.to(tokens.dtype)).unsqueeze(1) * -10_000.0
        for block in self.blocks:
            tokens = block(tokens, encoder_hidden_states=text, encoder_attention_mask=bias, timestep=modulation)
        return tokens


class Head(Step):
    """The noise of tokens [rows, tokens, width] laid out as a map of the latents' size, which `hidden_states` tells."""

    def forward(self, tokens: Tensor, embedding: Tensor, hidden_states: Tensor) -> Tensor:
        net = self.transformer
        patch, channels = net.config.patch_size, net.out_channels
        rows, height, width = hidden_states.shape[0], hidden_states.shape[2] // patch, hidden_states.shape[3] // patch
        shift, scale = (net.scale_shift_table[None] + embedding[:, None]).chunk(2, dim=1)
        patches = net.proj_out(net.norm_out(tokens) * (1 + scale) + shift).reshape(rows, height, width, patch, patch, channels)
        return torch.einsum("nhwpqc->nchpwq", patches).reshape(rows, channels, height * patch, width * patch)[:, : net.config.in_channels]


def pixart_plan(transformer: nn.Module) -> Plan:
    inputs, axes = pixart_inputs(transformer)
    patch = transformer.config.patch_size
    cut = Cut()
    cut.start("embed")
    size = [name for name in inputs if name in ("resolution", "aspect_ratio")]
    reads = ["hidden_states", "timestep", "encoder_hidden_states", *size]
    cut.add(Embed(reads, ["tokens_0", "text", "modulation", "embedding"], transformer=transformer))
    blocks = transformer.transformer_blocks
    for k, (name, span) in enumerate({"first": blocks[:1], "blocks": blocks[1:]}.items()):
        cut.start(name)
        reads = [f"tokens_{k}", "text", "encoder_attention_mask", "modulation"]
        cut.add(Blocks(reads, [f"tokens_{k + 1}"], tokens=True, blocks=span))
    cut.start("head")
    cut.add(Head(["tokens_2", "embedding", "hidden_states"], ["out_hidden_states"], transformer=transformer))
    plan = Plan(
        cut.finish(["out_hidden_states"]),
        inputs,
        {},
        sample="hidden_states",
        time="timestep",
        output="out_hidden_states",
        controls=[],
        grid=[f"height/{patch}", f"width/{patch}"],
        patch=[patch, patch],
        reuse=[{"from": "blocks", "to": "blocks", "remembers": ["tokens_2"]}],
    )
    inner = {"tokens_0": "tokens", "tokens_1": "tokens", "tokens_2": "tokens", "text": "length"}
    axes |= {"out_hidden_states": axes["hidden_states"], **{name: {0: "rows", 1: symbol} for name, symbol in inner.items()}}
    for name, value in plan.run(inputs).items():
        symbols = axes.get(name, {0: "rows"})
        plan.shapes[name] = [symbols.get(axis, size) for axis, size in enumerate(value.shape)]
    return plan
