"""The parts of a pipeline as modules with tensors in and out, in the names of the diffusers/Optimum ONNX layout."""

from unittest import mock

import torch
from torch import Tensor, nn

from .graph import Part


class Unet(nn.Module):
    """sample [rows, c, h, w], timestep [1] or [rows], encoder_hidden_states [rows, length, width] → out_sample."""

    def __init__(self, unet: nn.Module, added: tuple[str, ...] = (), residuals: bool = False, classes: bool = False) -> None:
        super().__init__()
        self.unet, self.added, self.residuals, self.classes = unet, added, residuals, classes

    def forward(self, sample: Tensor, timestep: Tensor, *others: Tensor) -> Tensor:
        rest = list(others)
        context = None if self.classes else rest.pop(0)
        labels = rest.pop(0) if self.classes else None
        conditions = {name: rest.pop(0) for name in self.added}
        down, mid = (tuple(rest[:-1]), rest[-1]) if self.residuals else (None, None)
        return self.unet(
            sample,
            timestep,
            context,
            class_labels=labels,
            added_cond_kwargs=conditions or None,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0]


class VaeDecoder(nn.Module):
    """latent_sample [rows, c, h, w], already divided by the scaling factor → sample."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent_sample: Tensor) -> Tensor:
        return self.vae.decode(latent_sample, return_dict=False)[0]


class VaeEncoder(nn.Module):
    """sample [rows, c, h, w] in [-1, 1] → latent_parameters [rows, 2c', h', w']: mean, then log variance."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, sample: Tensor) -> Tensor:
        return self.vae.encode(sample).latent_dist.parameters


class TextEncoder(nn.Module):
    """input_ids [rows, length], and attention_mask where it is told what is padding → the named fields of the encoder's output.

    `hidden_states.k` is the k-th of its layers' inputs.
    """

    def __init__(self, encoder: nn.Module, outputs: list[str]) -> None:
        super().__init__()
        self.encoder, self.outputs = encoder, outputs

    def forward(self, input_ids: Tensor, *mask: Tensor) -> tuple[Tensor, ...]:
        hidden = any(name.startswith("hidden") for name in self.outputs)
        made = self.encoder(input_ids, attention_mask=mask[0] if mask else None, output_hidden_states=hidden)
        named = {f"hidden_states.{k}": value for k, value in enumerate(made.hidden_states or ())}
        return tuple(named[name] if name in named else made[name] for name in self.outputs)


def vae_parts(vae: nn.Module) -> list[Part]:
    dtype = next(vae.parameters()).dtype
    config = vae.config
    # Odd sizes on purpose: an axis that the trace took for a constant would show.
    latent = torch.randn(1, config.latent_channels, 6, 10, dtype=dtype)
    picture = torch.randn(1, config.in_channels, 48, 80, dtype=dtype)
    small = {0: "rows", 2: "latent_height", 3: "latent_width"}
    large = {0: "rows", 2: "height", 3: "width"}
    return [
        Part("vae_decoder", VaeDecoder(vae), {"latent_sample": latent}, ["sample"], {"latent_sample": small, "sample": large}),
        Part("vae_encoder", VaeEncoder(vae), {"sample": picture}, ["latent_parameters"], {"sample": large, "latent_parameters": small}),
    ]


class ClapText(nn.Module):
    """input_ids and attention_mask [rows, length] → text_embeds [rows, width], of length 1."""

    def __init__(self, clap: nn.Module) -> None:
        super().__init__()
        self.text_model, self.text_projection = clap.text_model, clap.text_projection

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        pooled = self.text_model(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        return nn.functional.normalize(self.text_projection(pooled), dim=-1)


def clap_part(clap: nn.Module, length: int) -> Part:
    ids = torch.randint(4, clap.config.text_config.vocab_size - 1, (2, length))
    ids[1, length // 2 :] = clap.config.text_config.pad_token_id
    mask = (ids != clap.config.text_config.pad_token_id).long()
    axes = {0: "rows", 1: "length"}
    inputs = {"input_ids": ids, "attention_mask": mask}
    return Part("text_encoder", ClapText(clap), inputs, ["text_embeds"], {"input_ids": axes, "attention_mask": axes, "text_embeds": {0: "rows"}})


def vocoder_part(vocoder: nn.Module) -> Part:
    """spectrogram [rows, frames, bins] → waveform [rows, samples]"""
    mel = torch.randn(2, 12, vocoder.config.model_in_dim, dtype=next(vocoder.parameters()).dtype)
    return Part("vocoder", vocoder, {"spectrogram": mel}, ["waveform"], {"spectrogram": {0: "rows", 1: "frames"}, "waveform": {0: "rows", 1: "samples"}})


def text_part(name: str, encoder: nn.Module, length: int, outputs: list[str], masked: bool = False) -> Part:
    """A text encoder; `masked`: it is told which tokens are padding."""
    ids = torch.randint(1, encoder.config.vocab_size - 1, (2, length))
    inputs = {"input_ids": ids, "attention_mask": (torch.arange(length) < length - 3).long().repeat(2, 1)} if masked else {"input_ids": ids}
    axes: dict[str, dict[int, str]] = {each: {0: "rows", 1: "length"} for each in (*inputs, *outputs)}
    for pooled in ("pooler_output", "text_embeds"):
        if pooled in axes:
            axes[pooled] = {0: "rows"}
    return Part(name, TextEncoder(encoder, outputs), inputs, outputs, axes)


def text_width(net: nn.Module) -> int:
    """Features of each token of text, of which a configuration may have one number for each block."""
    given = net.config.encoder_hid_dim or net.config.cross_attention_dim
    widths = set(given) if isinstance(given, (list, tuple)) else {given}
    if len(widths) > 1:
        raise SystemExit(f"Expected text of one width, found cross_attention_dim {list(given)} in config.json of a {type(net).__name__}. Export another model.")
    return widths.pop()


def unet_inputs(unet: nn.Module, length: int = 77, ids: int = 6) -> tuple[dict[str, Tensor], dict[str, dict[int, str]]]:
    """Examples and dynamic axes of a UNet's own inputs, residuals of a ControlNet aside. `ids`: sizes that SDXL's is told."""
    dtype = next(unet.parameters()).dtype
    config = unet.config
    factor = 2 ** (len(config.block_out_channels) - 1)
    inputs = {
        # No multiple of the factor: then a trace takes the sizes to upsample to from the skips, which is right for all sizes.
        "sample": torch.randn(2, config.in_channels, 2 * factor + 1, 3 * factor - 1, dtype=dtype),
        # In half precision times between steps would be rounded.
        "timestep": torch.tensor([501.0]),
    }
    axes = {"sample": {0: "rows", 2: "height", 3: "width"}, "timestep": {0: "steps"}}
    if config.class_embed_type == "simple_projection":
        inputs["class_labels"] = torch.randn(2, config.projection_class_embeddings_input_dim, dtype=dtype)
        axes["class_labels"] = {0: "rows"}
    else:
        inputs["encoder_hidden_states"] = torch.randn(2, length, text_width(unet), dtype=dtype)
        axes["encoder_hidden_states"] = {0: "rows", 1: "length"}
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - ids * config.addition_time_embed_dim
        inputs["text_embeds"] = torch.randn(2, pooled, dtype=dtype)
        inputs["time_ids"] = torch.tensor([[64.0, 80.0, 0.0, 8.0, 64.0, 80.0][:ids]] * 2, dtype=dtype)
        axes |= {"text_embeds": {0: "rows"}, "time_ids": {0: "rows"}}
    return inputs, axes


def residual_shapes(unet: nn.Module) -> tuple[list[int], list[int]]:
    """Channels and halvings of each tensor that a ControlNet adds: the skips in order, then the middle."""
    channels, halvings = [unet.config.block_out_channels[0]], [0]
    for k, block in enumerate(unet.down_blocks):
        width = unet.config.block_out_channels[k]
        channels += [width] * len(block.resnets)
        halvings += [k] * len(block.resnets)
        if block.downsamplers:
            channels.append(width)
            halvings.append(k + 1)
    return [*channels, channels[-1]], [*halvings, halvings[-1]]


def residual_inputs(unet: nn.Module, sample: Tensor) -> tuple[dict[str, Tensor], dict[str, dict[int, str]]]:
    """Examples and axes of what ControlNets add to a UNet; each depth has symbols of its own."""
    inputs, axes = {}, {}
    channels, halvings = residual_shapes(unet)
    for k, (width, halved) in enumerate(zip(channels, halvings)):
        name = f"down_block_additional_residual_{k}" if k < len(channels) - 1 else "mid_block_additional_residual"
        inputs[name] = torch.randn(len(sample), width, *(-(-size >> halved) for size in sample.shape[2:]), dtype=sample.dtype)
        axes[name] = {0: "rows", 2: f"height/{1 << halved}", 3: f"width/{1 << halved}"} if halved else {0: "rows", 2: "height", 3: "width"}
    return inputs, axes


def unet_part(unet: nn.Module, controlled: bool = False, ids: int = 6) -> Part:
    inputs, axes = unet_inputs(unet, ids=ids)
    added = tuple(name for name in ("text_embeds", "time_ids") if name in inputs)
    if controlled:
        own, sizes = residual_inputs(unet, inputs["sample"])
        inputs, axes = {**inputs, **own}, {**axes, **sizes}
    module = Unet(unet, added, residuals=controlled, classes="class_labels" in inputs)
    return Part("unet", module, inputs, ["out_sample"], {**axes, "out_sample": axes["sample"]})


class ControlNet(nn.Module):
    """As the UNet, and controlnet_cond [rows, 3, H, W] in [0, 1] and conditioning_scale [1] → the residuals, scaled."""

    def __init__(self, controlnet: nn.Module, added: tuple[str, ...]) -> None:
        super().__init__()
        self.controlnet, self.added = controlnet, added

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, controlnet_cond: Tensor, conditioning_scale: Tensor, *added: Tensor) -> tuple[Tensor, ...]:
        conditions = dict(zip(self.added, added, strict=True))
        down, mid = self.controlnet(
            sample, timestep, encoder_hidden_states, controlnet_cond, conditioning_scale, added_cond_kwargs=conditions or None, return_dict=False
        )
        return (*down, mid)


def controlnet_part(name: str, controlnet: nn.Module) -> Part:
    inputs, axes = unet_inputs(controlnet)
    added = {key: inputs.pop(key) for key in ("text_embeds", "time_ids") if key in inputs}
    factor = 2 ** (len(controlnet.config.conditioning_embedding_out_channels) - 1)
    sample = inputs["sample"]
    inputs["controlnet_cond"] = torch.rand(len(sample), 3, *(factor * size for size in sample.shape[2:])).to(sample.dtype)
    inputs["conditioning_scale"] = torch.tensor([0.8], dtype=sample.dtype)
    axes["controlnet_cond"] = {0: "rows", 2: "image_height", 3: "image_width"}
    _, made = residual_inputs(controlnet, sample)
    outputs = {key.replace("additional_residual", "res_sample"): value for key, value in made.items()}
    return Part(name, ControlNet(controlnet, tuple(added)), {**inputs, **added}, list(outputs), {**axes, **outputs})


class FluxTransformer(nn.Module):
    """The network with its inputs in a fixed order; positions are [tokens, 3] and [length, 3]."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor, pooled_projections: Tensor, timestep: Tensor, img_ids: Tensor, txt_ids: Tensor, *guidance: Tensor) -> Tensor:
        return self.transformer(
            hidden_states=hidden_states,
            encoder_hidden_states=encoder_hidden_states,
            pooled_projections=pooled_projections,
            timestep=timestep,
            img_ids=img_ids,
            txt_ids=txt_ids,
            guidance=guidance[0] if guidance else None,
            return_dict=False,
        )[0]


def flux_positions(height: int, width: int) -> Tensor:
    """(0, row, column) of each packed token."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([torch.zeros_like(rows), rows, columns], -1).reshape(-1, 3).float()


def flux_inputs(transformer: nn.Module, length: int = 9) -> tuple[dict[str, Tensor], dict[str, dict[int, str]]]:
    dtype = next(transformer.parameters()).dtype
    config = transformer.config
    inputs = {
        "hidden_states": torch.randn(2, 4 * 6, config.in_channels),
        "encoder_hidden_states": torch.randn(2, length, config.joint_attention_dim),
        "pooled_projections": torch.randn(2, config.pooled_projection_dim),
    }
    inputs = {name: value.to(dtype) for name, value in inputs.items()}
    inputs |= {"timestep": torch.tensor([0.7, 0.7]), "img_ids": flux_positions(4, 6), "txt_ids": torch.zeros(length, 3)}
    axes = {
        "hidden_states": {0: "rows", 1: "tokens"},
        "encoder_hidden_states": {0: "rows", 1: "length"},
        "pooled_projections": {0: "rows"},
        "timestep": {0: "rows"},
        "img_ids": {0: "tokens"},
        "txt_ids": {0: "length"},
    }
    if config.guidance_embeds:
        inputs["guidance"] = torch.tensor([3.5, 3.5])
        axes["guidance"] = {0: "rows"}
    return inputs, axes


def flux_part(transformer: nn.Module) -> Part:
    inputs, axes = flux_inputs(transformer)
    return Part("transformer", FluxTransformer(transformer), inputs, ["out_hidden_states"], {**axes, "out_hidden_states": axes["hidden_states"]})


class Sd3Transformer(nn.Module):
    """hidden_states [rows, c, h, w], encoder_hidden_states [rows, length, width], pooled_projections, timestep [rows] → out_hidden_states."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor, pooled_projections: Tensor, timestep: Tensor) -> Tensor:
        return self.transformer(hidden_states, encoder_hidden_states, pooled_projections, timestep, return_dict=False)[0]


def sd3_inputs(transformer: nn.Module, length: int = 9) -> tuple[dict[str, Tensor], dict[str, dict[int, str]]]:
    dtype = next(transformer.parameters()).dtype
    config = transformer.config
    inputs = {
        "hidden_states": torch.randn(2, config.in_channels, 4 * config.patch_size, 6 * config.patch_size, dtype=dtype),
        "encoder_hidden_states": torch.randn(2, length, config.joint_attention_dim, dtype=dtype),
        "pooled_projections": torch.randn(2, config.pooled_projection_dim, dtype=dtype),
        # In half precision times between steps would be rounded.
        "timestep": torch.tensor([701.0, 701.0]),
    }
    axes = {
        "hidden_states": {0: "rows", 2: "height", 3: "width"},
        "encoder_hidden_states": {0: "rows", 1: "length"},
        "pooled_projections": {0: "rows"},
        "timestep": {0: "rows"},
    }
    return inputs, axes


def sd3_part(transformer: nn.Module) -> Part:
    inputs, axes = sd3_inputs(transformer)
    return Part("transformer", Sd3Transformer(transformer), inputs, ["out_hidden_states"], {**axes, "out_hidden_states": axes["hidden_states"]})


GRID_POSITIONS = "diffusers.models.embeddings.get_2d_sincos_pos_embed"


def grid_positions(embed_dim: int, grid_size: tuple[Tensor, Tensor], base_size: int, interpolation_scale: float, **_: object) -> Tensor:
    """Sines and cosines [height·width, embed_dim] of each token's column, then of its row; diffusers' own are of float64, for which few runtimes have kernels."""
    frequencies = (10_000.0 ** -(torch.arange(embed_dim // 4, dtype=torch.float64) / (embed_dim / 4))).float()
    angles = [torch.arange(size, dtype=torch.float32)[:, None] * (base_size / interpolation_scale) / size * frequencies for size in grid_size]
    rows, columns = (torch.cat([one.sin(), one.cos()], -1) for one in angles)
    height, width = grid_size
    return torch.cat([columns[None].expand(height, -1, -1), rows[:, None].expand(-1, width, -1)], -1).flatten(0, 1)


def pixart_size(conditions: tuple[Tensor, ...]) -> dict[str, Tensor] | None:
    return dict(zip(("resolution", "aspect_ratio"), conditions, strict=True)) if conditions else None


class PixArtTransformer(nn.Module):
    """hidden_states [rows, c, h, w], encoder_hidden_states [rows, length, width], encoder_attention_mask [rows, length], timestep [rows] → out_hidden_states.

    Alpha's network at 1024 pixels is also told the picture's `resolution` [rows, 2] (height, width) and `aspect_ratio` [rows, 1]. Of the output's
    channels those of the noise are left: no sampler here uses the learned variance, which comes after them.
    """

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor, timestep: Tensor, *size: Tensor) -> Tensor:
        # Where diffusers squeezes, it takes out the axis of a single token before a reshape that does so anyway; in a trace that is a branch.
        with mock.patch(GRID_POSITIONS, grid_positions), mock.patch("torch.Tensor.squeeze", lambda tensor, *_: tensor):
            made = self.transformer(
                hidden_states,
                encoder_hidden_states,
                timestep,
                pixart_size(size),
                encoder_attention_mask=encoder_attention_mask,
                return_dict=False,
            )[0]
        return made[:, : self.transformer.config.in_channels]


def pixart_inputs(transformer: nn.Module, length: int = 9) -> tuple[dict[str, Tensor], dict[str, dict[int, str]]]:
    dtype = next(transformer.parameters()).dtype
    config = transformer.config
    inputs = {
        # Not the size that the network has positions for at hand: a trace of that one would have them as a constant.
        "hidden_states": torch.randn(2, config.in_channels, 4 * config.patch_size, 6 * config.patch_size, dtype=dtype),
        "encoder_hidden_states": torch.randn(2, length, config.caption_channels, dtype=dtype),
        "encoder_attention_mask": (torch.arange(length) < torch.tensor([[length - 3], [length - 5]])).to(dtype),
        # In half precision times between steps would be rounded.
        "timestep": torch.tensor([701.0, 701.0]),
    }
    axes = {
        "hidden_states": {0: "rows", 2: "height", 3: "width"},
        "encoder_hidden_states": {0: "rows", 1: "length"},
        "encoder_attention_mask": {0: "rows", 1: "length"},
        "timestep": {0: "rows"},
    }
    if transformer.use_additional_conditions:
        inputs |= {"resolution": torch.tensor([[64.0, 96.0]] * 2), "aspect_ratio": torch.tensor([[0.6667]] * 2)}
        axes |= {"resolution": {0: "rows"}, "aspect_ratio": {0: "rows"}}
    return inputs, axes


def pixart_part(transformer: nn.Module) -> Part:
    inputs, axes = pixart_inputs(transformer)
    return Part("transformer", PixArtTransformer(transformer), inputs, ["out_hidden_states"], {**axes, "out_hidden_states": axes["hidden_states"]})
