"""Flux cut into embed, first double block, remaining double blocks, single blocks and head.

Image tokens and their rotary positions are gathered after embed; text tokens always run. Positions are given for each row, because the
rows of one call may keep different tokens.
"""

from unittest import mock

import torch
from torch import Tensor, nn

from .parts import flux_inputs
from .stages import Cut, Plan, Step

ROTARY = "diffusers.models.transformers.transformer_flux.apply_rotary_emb"


def rotate(x: Tensor, rotary: Tensor, sequence_dim: int) -> Tensor:
    """x [rows, tokens, heads, width] turned by rotary [rows, tokens, 2·width], cosines then sines; diffusers has one for all rows."""
    cos, sin = rotary.unsqueeze(2).chunk(2, -1)
    real, imaginary = x.reshape(*x.shape[:-1], -1, 2).unbind(-1)
    turned = torch.stack([-imaginary, real], -1).flatten(3)
    return (x.float() * cos + turned.float() * sin).to(x.dtype)


class Embed(Step):
    def forward(self, hidden_states: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, pooled: Tensor, img_ids: Tensor, txt_ids: Tensor, *guidance: Tensor) -> tuple[Tensor, ...]:
        net = self.transformer
        tokens, text = net.x_embedder(hidden_states), net.context_embedder(encoder_hidden_states)
        scaled = [1000 * value.to(tokens.dtype) for value in (timestep, *guidance)]
        rows = torch.ones_like(tokens[:, :1, :1]).float()
        positions = [rows * torch.cat(net.pos_embed(ids), -1).unsqueeze(0) for ids in (img_ids, txt_ids)]
        return tokens, text, net.time_text_embed(*scaled, pooled), *positions


class Blocks(Step):
    """Double or single blocks, which have the same interface."""

    def forward(self, tokens: Tensor, text: Tensor, embedding: Tensor, positions: Tensor, text_positions: Tensor) -> tuple[Tensor, Tensor]:
        rotary = torch.cat([text_positions, positions], 1)
        with mock.patch(ROTARY, rotate):
            for block in self.blocks:
                text, tokens = block(hidden_states=tokens, encoder_hidden_states=text, temb=embedding, image_rotary_emb=rotary)
        return tokens, text


class Head(Step):
    def forward(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        return self.transformer.proj_out(self.transformer.norm_out(tokens, embedding))


def flux_plan(transformer: nn.Module) -> Plan:
    inputs, _ = flux_inputs(transformer)
    cut = Cut()
    cut.start("embed")
    others = [name for name in inputs if name not in ("hidden_states", "timestep", "encoder_hidden_states", "pooled_projections", "img_ids", "txt_ids")]
    reads = ["hidden_states", "timestep", "encoder_hidden_states", "pooled_projections", "img_ids", "txt_ids", *others]
    cut.add(Embed(reads, ["tokens_0", "text_0", "embedding", "positions", "text_positions"], transformer=transformer))
    double = transformer.transformer_blocks
    spans = {"first": double[:1], "double": double[1:], "single": transformer.single_transformer_blocks}
    for k, (name, blocks) in enumerate(spans.items()):
        cut.start(name)
        reads = [f"tokens_{k}", f"text_{k}", "embedding", "positions", "text_positions"]
        cut.add(Blocks(reads, [f"tokens_{k + 1}", f"text_{k + 1}"], tokens=True, blocks=blocks))
    cut.start("head")
    cut.add(Head(["tokens_3", "embedding"], ["out_hidden_states"], transformer=transformer))
    plan = Plan(
        cut.finish(["out_hidden_states"]),
        inputs,
        {"img_ids": ["tokens", 3], "txt_ids": ["length", 3]},
        sample="hidden_states",
        time="timestep",
        output="out_hidden_states",
        controls=[],
        grid=["height/2", "width/2"],
        patch=[2, 2],
        reuse=[{"from": "double", "to": "single", "remembers": ["tokens_3"]}],
        packed=True,
    )
    second = {name: "tokens" for name in ("hidden_states", "out_hidden_states", "positions")} | {"encoder_hidden_states": "length"}
    for name, value in plan.run(inputs).items():
        if name not in plan.shapes:
            middle = second.get(name, "tokens" if name.startswith("tokens_") else "length")
            plan.shapes[name] = ["rows", middle, value.shape[2]] if value.ndim == 3 else ["rows", *value.shape[1:]]
    return plan
