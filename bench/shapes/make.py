"""Folders with random weights at the widths and latents of the published models, for bench/shapes/shapes.ts.

    python bench/shapes/make.py FOLDER [sd2|sdxl|flux …] [--uncut] [--weightless]      # models/export/requirements.txt

The network has the published configuration but for `CUTS`, which is what two cores and a few gigabytes allow; text encoders have the published
widths and one or two layers, the autoencoder is small and halves once. The stages are those of models/export, whose tests compare them with PyTorch;
that is not done again here, and the whole network is not written.

--uncut: the published configuration as it is. --weightless: a network in float16 whose weights are a list, `weights.json`; with it any network can be
made in a few hundred megabytes of memory, and `python bench/shapes/fill.py FOLDER/NAME` makes the weights where it is to run.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from unittest import mock

import torch
from diffusers import (
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import T5Config, T5EncoderModel

sys.path.insert(0, str(Path(__file__).parents[2] / "models"))

from export import tiny  # noqa: E402
from export.families import FAMILIES, STAGED, copy_settings, cut, flop_sizes  # noqa: E402
from export.graph import Part, WeightFile  # noqa: E402
from export.plan_file import flops, manifest, pretty, traced, write_stages  # noqa: E402
from export.stages import Plan  # noqa: E402

import weightless  # noqa: E402

# transformer/config.json and unet/config.json of the published folders (stabilityai/stable-diffusion-2, stabilityai/stable-diffusion-xl-base-1.0,
# black-forest-labs/FLUX.1-dev), as far as they differ from diffusers' defaults.
PUBLISHED = {
    "sd2": {
        "sample_size": 96,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
    },
    "sdxl": {
        "sample_size": 128,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (320, 640, 1280),
        "layers_per_block": 2,
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    "flux": {
        "in_channels": 64,
        "num_layers": 19,
        "num_single_layers": 38,
        "attention_head_dim": 128,
        "num_attention_heads": 24,
        "joint_attention_dim": 4096,
        "pooled_projection_dim": 768,
        "guidance_embeds": True,
    },
}
# What is smaller here, and nothing else of the network is.
CUTS = {
    "sd2": {"layers_per_block": 1},
    "sdxl": {"layers_per_block": 1, "transformer_layers_per_block": (1, 2, 1)},
    "flux": {"num_layers": 2, "num_single_layers": 1},
}


def sd2(folder: Path, network: UNet2DConditionModel) -> StableDiffusionPipeline:
    tokenizer = tiny.write_clip_tokenizer(folder / "tokenizer", pad="!")
    return StableDiffusionPipeline(
        vae=tiny.vae(12, scaling_factor=0.18215),
        text_encoder=tiny.clip_text(tokenizer, 1024, 13, "gelu"),
        tokenizer=tokenizer,
        unet=network,
        scheduler=EulerDiscreteScheduler(**tiny.SD_NOISE, timestep_spacing="leading", prediction_type="v_prediction"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl(folder: Path, network: UNet2DConditionModel) -> StableDiffusionXLPipeline:
    first = tiny.write_clip_tokenizer(folder / "tokenizer", pad="<|endoftext|>")
    second = tiny.write_clip_tokenizer(folder / "tokenizer_2", pad="!")
    return StableDiffusionXLPipeline(
        vae=tiny.vae(22, scaling_factor=0.13025, force_upcast=True),
        text_encoder=tiny.clip_text(first, 768, 23, "quick_gelu"),
        text_encoder_2=tiny.clip_text(second, 1280, 24, "gelu", projection=1280),
        tokenizer=first,
        tokenizer_2=second,
        unet=network,
        scheduler=EulerDiscreteScheduler(**tiny.SD_NOISE, timestep_spacing="leading"),
    )


def flux(folder: Path, network: FluxTransformer2DModel) -> FluxPipeline:
    first = tiny.write_clip_tokenizer(folder / "tokenizer", pad="<|endoftext|>")
    second = tiny.write_t5_tokenizer(folder / "tokenizer_2")
    t5 = T5Config(vocab_size=len(second), d_model=4096, d_kv=64, d_ff=1024, num_layers=1, num_heads=8, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    shift = {"shift": 3.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096}
    return FluxPipeline(
        vae=tiny.vae(32, latents=16, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=tiny.clip_text(first, 768, 33, "quick_gelu"),
        text_encoder_2=tiny.lively(T5EncoderModel(t5), 34),
        tokenizer=first,
        tokenizer_2=second,
        transformer=network,
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, **shift),
    )


PIPELINES = {"sd2": (sd2, UNet2DConditionModel), "sdxl": (sdxl, UNet2DConditionModel), "flux": (flux, FluxTransformer2DModel)}


def write(part: Part, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if part.name not in STAGED:
        (folder / "model.onnx").write_bytes(traced(part, "fp32").SerializeToString())
        return
    plan = cut(part)
    with WeightFile(folder / "model.onnx_data") as weights:
        write_stages(plan, folder, weights, "fp32")
    (folder / "model.onnx").touch()
    write_plan(plan, part, folder, "fp32")


def write_weightless(part: Part, folder: Path) -> dict[str, object]:
    """Writes a part's graphs; returns what is to be in the file of its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = weightless.WeightList("model.onnx_data")
    if part.name in STAGED:
        with mock.patch("torch.nn.Linear.forward", weightless.linear):
            plan = cut(part)
            weightless.write_stages(plan, folder, weights, "fp16")
        weightless.without_storage(plan)
        write_plan(plan, part, folder, "fp16")
    else:
        weightless.write_part(part, folder, weights)
    return {"file": f"{part.name}/{weights.file}", "bytes": weights.end, "tensors": weights.tensors}


def write_plan(plan: Plan, part: Part, folder: Path, dtype: str) -> None:
    described = manifest(plan, folder, flops(plan, part, flop_sizes(plan, part)), part.name, dtype)
    (folder / "plan.json").write_text(pretty(described) + "\n")


def make(name: str, target: Path, uncut: bool = False, without_weights: bool = False) -> None:
    """Writes the folder; where it is already there nothing is done."""
    if (target / "shapes.json").exists():
        return
    shutil.rmtree(target, ignore_errors=True)
    build, kind = PIPELINES[name]
    cuts = {} if uncut else CUTS[name]
    config = {**PUBLISHED[name], **cuts}
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        source = Path(scratch)
        network = weightless.empty(kind, config) if without_weights else tiny.lively(kind(**config), 1)
        pipeline = build(source, network)
        # Everything but the weights, which the export takes from the pipeline.
        for part, value in pipeline.components.items():
            if hasattr(value, "save_config"):
                value.save_config(source / part)
            elif hasattr(value, "config") and hasattr(value.config, "save_pretrained"):
                value.config.save_pretrained(source / part)
        pipeline.save_config(source)
        target.mkdir()
        parts = FAMILIES[type(pipeline).__name__](pipeline)
        if without_weights:
            files = [write_weightless(part, target / part.name) for part in parts]
            (target / "weights.json").write_text(json.dumps({"files": files}) + "\n")
        else:
            for part in parts:
                write(part, target / part.name)
        copy_settings(source, target)
    about = {
        "network": kind.__name__,
        "dtype": "float16" if without_weights else "float32",
        "parameters": sum(value.numel() for value in network.parameters()),
        "cuts": {key: {"published": PUBLISHED[name][key], "here": here} for key, here in cuts.items()},
        "torch": torch.__version__,
    }
    (target / "shapes.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=list(PIPELINES), metavar="|".join(PIPELINES))
    parser.add_argument("--uncut", action="store_true")
    parser.add_argument("--weightless", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for each in given.names:
        make(each, given.folder / each, given.uncut, given.weightless)
