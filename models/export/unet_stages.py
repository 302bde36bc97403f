"""A UNet cut around the transformer blocks of its highest attention resolution, and at the skip connections of its up-blocks."""

import torch
from torch import Tensor, nn

from .parts import residual_inputs, unet_inputs
from .stages import Cut, Plan, Stage, Step, Uncuttable, reusable


class Embed(Step):
    """Time and added conditions → the embedding that every residual block takes."""

    def forward(self, sample: Tensor, timestep: Tensor, *others: Tensor) -> Tensor:
        unet = self.unet
        given = dict(zip(self.reads[2:], others, strict=True))
        embedding = unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timestep))
        labels = given.pop("class_labels", None)
        classes = unet.get_class_embed(sample=sample, class_labels=labels)
        if classes is not None:
            embedding = torch.cat([embedding, classes], -1) if unet.config.class_embeddings_concat else embedding + classes
        added = unet.get_aug_embed(emb=embedding, encoder_hidden_states=None, added_cond_kwargs=given)
        return embedding if added is None else embedding + added


class Apply(Step):
    """One module on what is read."""

    def forward(self, *values: Tensor) -> Tensor:
        return self.module(*values)


class Resnet(Step):
    """A residual block on the map, joined with a skip connection (and what a ControlNet adds to it) in up-blocks."""

    def forward(self, hidden: Tensor, embedding: Tensor, *skip: Tensor) -> Tensor:
        joined = torch.cat([hidden, sum(skip[1:], skip[0])], 1) if skip else hidden
        return self.module(joined, embedding)


class Attention(Step):
    """A whole transformer on the map."""

    def forward(self, hidden: Tensor, *text: Tensor) -> Tensor:
        return self.module(hidden, encoder_hidden_states=text[0] if text else None, return_dict=False)[0]


class ToTokens(Step):
    """Map → tokens [rows, tokens, channels]. A linear projection works on each token, so that it goes with the blocks."""

    def forward(self, hidden: Tensor) -> Tensor:
        transformer = self.module
        normed = transformer.norm(hidden)
        if not transformer.use_linear_projection:
            normed = transformer.proj_in(normed)
        return normed.permute(0, 2, 3, 1).flatten(1, 2)


class Blocks(Step):
    """The transformer blocks on any subset of the tokens."""

    def forward(self, tokens: Tensor, *text: Tensor) -> Tensor:
        transformer = self.module
        if transformer.use_linear_projection:
            tokens = transformer.proj_in(tokens)
        for block in transformer.transformer_blocks:
            tokens = block(tokens, encoder_hidden_states=text[0] if text else None)
        return transformer.proj_out(tokens) if transformer.use_linear_projection else tokens


class FromTokens(Step):
    """Tokens → map, added to what the transformer was given."""

    def forward(self, tokens: Tensor, residual: Tensor) -> Tensor:
        transformer = self.module
        rows, _, height, width = residual.shape
        hidden = tokens.reshape(rows, height, width, tokens.shape[-1]).permute(0, 3, 1, 2).contiguous()
        return residual + (hidden if transformer.use_linear_projection else transformer.proj_out(hidden))


class Middle(Step):
    """The middle block, and what a ControlNet adds to it."""

    def forward(self, hidden: Tensor, embedding: Tensor, *others: Tensor) -> Tensor:
        given = dict(zip(self.reads[2:], others, strict=True))
        text = given.pop("encoder_hidden_states", None)
        made = self.module(hidden, embedding, encoder_hidden_states=text) if getattr(self.module, "has_cross_attention", False) else self.module(hidden, embedding)
        return sum(given.values(), made)


class Upsample(Step):
    """To the size of the next skip connection."""

    def forward(self, hidden: Tensor, skip: Tensor) -> Tensor:
        return self.module(hidden, skip.shape[2:])


class Head(Step):
    def forward(self, hidden: Tensor) -> Tensor:
        unet = self.unet
        return unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden)) if unet.conv_norm_out else hidden)


def check_known(unet: nn.Module) -> None:
    config = unet.config
    wrong = [name for name in ("center_input_sample", "time_embedding_act_fn", "encoder_hid_dim_type", "time_cond_proj_dim", "dual_cross_attention") if config.get(name)]
    known = {"DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D", "UNetMidBlock2DCrossAttn", "UNetMidBlock2D"}
    wrong += sorted({type(block).__name__ for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks)} - known)
    if config.addition_embed_type not in (None, "text_time"):
        wrong.append(f"addition_embed_type {config.addition_embed_type}")
    if config.downsample_padding != 1:  # halves are rounded down then
        wrong.append(f"downsample_padding {config.downsample_padding}")
    if not any(hasattr(block, "attentions") for block in unet.down_blocks):
        wrong.append("no attention")
    if wrong:
        raise Uncuttable(", ".join(wrong))


class UnetCut:
    """Builds the steps; `hidden` is the name of the map as it stands."""

    def __init__(self, unet: nn.Module, inputs: list[str], controls: list[str]) -> None:
        self.unet, self.inputs, self.controls = unet, inputs, controls
        self.text = [name for name in inputs if name == "encoder_hidden_states"]
        self.cut = Cut()
        self.level = next(k for k, block in enumerate(unet.down_blocks) if hasattr(block, "attentions"))
        self.hidden, self.maps, self.token_maps = "sample", 0, 0
        self.skips: list[str] = []

    def new(self) -> str:
        self.maps += 1
        self.hidden = f"hidden_{self.maps - 1}"
        return self.hidden

    def skip(self) -> None:
        """The map as it stands becomes a skip connection."""
        self.skips.append(self.hidden)

    def resnet(self, module: nn.Module, *skip: str) -> None:
        reads = [self.hidden, "embedding", *skip]
        self.cut.add(Resnet(reads, [self.new()], module=module))

    def attention(self, transformer: nn.Module, name: str, cut: bool) -> None:
        if not cut:
            reads = [self.hidden, *self.text]
            self.cut.add(Attention(reads, [self.new()], module=transformer))
            return
        before, after, residual = f"tokens_{self.token_maps}", f"tokens_{self.token_maps + 1}", self.hidden
        self.token_maps += 2
        self.cut.add(ToTokens([residual], [before], module=transformer))
        self.cut.start(f"{name}_tokens")
        self.cut.add(Blocks([before, *self.text], [after], tokens=True, module=transformer))
        self.cut.later(FromTokens([after, residual], [self.new()], module=transformer))

    def down(self) -> None:
        blocks = self.unet.down_blocks
        for level, block in enumerate(blocks):
            shallow = level <= self.level
            if level > 0:
                if self.cut.held and not shallow:
                    # A stage of its own: a pass without the deep part wants this skip connection and nothing of that part.
                    self.cut.start(f"down_{level - 1}_out")
                self.cut.start(f"down_{level}_0" if shallow else f"down_{level}")
                self.cut.add(Apply([self.hidden], [self.new()], module=blocks[level - 1].downsamplers[0]))
                self.skip()
            for layer, resnet in enumerate(block.resnets):
                if shallow and (level == 0 or layer > 0):
                    self.cut.start(f"down_{level}_{layer}")
                self.resnet(resnet)
                if hasattr(block, "attentions"):
                    self.attention(block.attentions[layer], f"down_{level}_{layer}", level == self.level)
                self.skip()

    def up(self) -> None:
        blocks = self.unet.up_blocks
        for k, block in enumerate(blocks):
            level = len(blocks) - 1 - k
            if level > self.level:
                self.cut.start(f"up_{k}")
            for layer, resnet in enumerate(block.resnets):
                if level <= self.level:
                    self.cut.start(f"up_{k}_{layer}")
                index = len(self.skips) - 1
                self.resnet(resnet, self.skips.pop(), *([self.controls[index]] if self.controls else []))
                if hasattr(block, "attentions"):
                    self.attention(block.attentions[layer], f"up_{k}_{layer}", level == self.level)
            if block.upsamplers:
                reads = [self.hidden, self.skips[-1]]
                step = Upsample(reads, [self.new()], module=block.upsamplers[0])
                (self.cut.later if self.cut.held else self.cut.add)(step)

    def stages(self) -> list[Stage]:
        unet, cut = self.unet, self.cut
        added = [name for name in ("class_labels", "text_embeds", "time_ids") if name in self.inputs]
        cut.start("embed")
        cut.add(Embed(["sample", "timestep", *added], ["embedding"], unet=unet))
        cut.add(Apply(["sample"], [self.new()], module=unet.conv_in))
        self.skip()
        self.down()
        cut.start("middle")
        reads = [self.hidden, "embedding", *(self.text if getattr(unet.mid_block, "has_cross_attention", False) else []), *self.controls[-1:]]
        cut.add(Middle(reads, [self.new()], module=unet.mid_block))
        self.up()
        if cut.held:
            cut.start("head")
        cut.add(Head([self.hidden], ["out_sample"], unet=unet))
        return cut.finish(["out_sample"])


def unet_plan(unet: nn.Module, controlled: bool = False, ids: int = 6) -> Plan:
    check_known(unet)
    inputs, _ = unet_inputs(unet, ids=ids)
    controls, _ = residual_inputs(unet, inputs["sample"]) if controlled else ({}, {})
    inputs |= controls
    inputs["timestep"] = inputs["timestep"].expand(len(inputs["sample"])).clone()
    builder = UnetCut(unet, list(inputs), list(controls))
    stages = builder.stages()
    entries = [k for k, stage in enumerate(stages) if any(isinstance(step, Resnet) and len(step.reads) > 2 for step in stage.steps)]

    halved = "" if builder.level == 0 else f"/{1 << builder.level}"
    plan = Plan(
        stages,
        inputs,
        {},
        sample="sample",
        time="timestep",
        output="out_sample",
        controls=list(controls),
        grid=[f"height{halved}", f"width{halved}"],
        patch=[1 << builder.level] * 2,
        reuse=reusable(stages, entries),
    )
    height, width = inputs["sample"].shape[2:]
    maps = {(-(-height >> k), -(-width >> k)): [f"height/{1 << k}", f"width/{1 << k}"] if k else ["height", "width"] for k in range(len(unet.down_blocks))}
    for name, value in plan.run(inputs).items():
        if value.ndim == 4:
            plan.shapes[name] = ["rows", value.shape[1], *maps[tuple(value.shape[2:])]]
        elif value.ndim == 3:
            plan.shapes[name] = ["rows", "tokens" if name.startswith("tokens_") else "length", value.shape[2]]
        else:
            plan.shapes[name] = ["rows", *value.shape[1:]]
    return plan
