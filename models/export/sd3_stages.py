"""Stable Diffusion 3 cut into embed, first block, remaining blocks and head.

Positions are added in embed: where tokens lie is nothing to the blocks, which take any subset of the image's. Text tokens always run.
"""

import torch
from torch import Tensor, nn

from .parts import sd3_inputs
from .stages import Cut, Plan, Step


class Embed(Step):
    def forward(self, hidden_states: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, pooled: Tensor) -> tuple[Tensor, ...]:
        net = self.transformer
        return net.pos_embed(hidden_states), net.context_embedder(encoder_hidden_states), net.time_text_embed(timestep, pooled)


class Blocks(Step):
    """Joint blocks; the last one of the network leaves no text."""

    def forward(self, tokens: Tensor, text: Tensor, embedding: Tensor) -> tuple[Tensor, ...]:
        for block in self.blocks:
            text, tokens = block(hidden_states=tokens, encoder_hidden_states=text, temb=embedding)
        return (tokens,) if text is None else (tokens, text)


class Head(Step):
    """Tokens [rows, tokens, c·patch²] laid out as a map of the latents' size, which `hidden_states` tells."""

    def forward(self, tokens: Tensor, embedding: Tensor, hidden_states: Tensor) -> Tensor:
        net = self.transformer
        patch, channels = net.config.patch_size, net.out_channels
        rows, height, width = hidden_states.shape[0], hidden_states.shape[2] // patch, hidden_states.shape[3] // patch
        patches = net.proj_out(net.norm_out(tokens, embedding)).reshape(rows, height, width, patch, patch, channels)
        return torch.einsum("nhwpqc->nchpwq", patches).reshape(rows, channels, height * patch, width * patch)


def sd3_plan(transformer: nn.Module) -> Plan:
    inputs, axes = sd3_inputs(transformer)
    patch = transformer.config.patch_size
    cut = Cut()
    cut.start("embed")
    reads = ["hidden_states", "timestep", "encoder_hidden_states", "pooled_projections"]
    cut.add(Embed(reads, ["tokens_0", "text_0", "embedding"], transformer=transformer))
    blocks = transformer.transformer_blocks
    cut.start("first")
    cut.add(Blocks(["tokens_0", "text_0", "embedding"], ["tokens_1", "text_1"], tokens=True, blocks=blocks[:1]))
    cut.start("double")
    cut.add(Blocks(["tokens_1", "text_1", "embedding"], ["tokens_2"], tokens=True, blocks=blocks[1:]))
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
        reuse=[{"from": "double", "to": "double", "remembers": ["tokens_2"]}],
    )
    for name, value in plan.run(inputs).items():
        symbols = axes.get(name) or {0: "rows", **({2: "height", 3: "width"} if value.ndim == 4 else {1: "tokens" if name.startswith("tokens") else "length"} if value.ndim == 3 else {})}
        plan.shapes[name] = [symbols.get(axis, size) for axis, size in enumerate(value.shape)]
    return plan
