"""Which files a pipeline of each family becomes."""

import json
import re
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DiffusionPipeline

from .flux_stages import flux_plan
from .graph import Part, WeightFile
from .parts import clap_part, controlnet_part, flux_part, pixart_part, sd3_part, text_part, unet_part, vae_parts, vocoder_part
from .pixart_stages import pixart_plan
from .plan_file import LENGTH, check_plan, flops, manifest, pretty, traced, write_stages
from .sd3_stages import sd3_plan
from .stages import Plan, Uncuttable
from .unet_stages import unet_plan
from .verify import Overflow, check


def layers(encoder: object) -> list[str]:
    return [f"hidden_states.{k}" for k in range(encoder.config.num_hidden_layers + 1)]


def clip_length(tokenizer: object, encoder: object) -> int:
    """Tokens of a prompt, which CLIP has positions for."""
    length, positions = tokenizer.model_max_length, encoder.config.max_position_embeddings
    if length > positions:
        said = f"model_max_length in its tokenizer_config.json is {length:.0f}"
        raise SystemExit(f"Expected a tokenizer whose prompts have at most {positions} tokens, as many as its text encoder has positions; {said}.")
    return length


def stable_diffusion(pipeline: DiffusionPipeline) -> list[Part]:
    length = clip_length(pipeline.tokenizer, pipeline.text_encoder)
    text = text_part("text_encoder", pipeline.text_encoder, length, ["last_hidden_state", "pooler_output"])
    return [text, *unet_parts(pipeline), *vae_parts(pipeline.vae)]


def unet_parts(pipeline: DiffusionPipeline) -> list[Part]:
    """The UNet, which takes the residuals of ControlNets where the pipeline has any, and those: `controlnet`, `controlnet_1`, …"""
    nets = networks(pipeline, "controlnet")
    names = ["controlnet", *(f"controlnet_{k}" for k in range(1, len(nets)))]
    unet = unet_part(pipeline.unet, bool(nets), time_ids(pipeline))
    return [unet, *(controlnet_part(name, net) for name, net in zip(names, nets))]


def time_ids(pipeline: DiffusionPipeline) -> int:
    """How many sizes SDXL's UNet is told: 6, the refiner's 5, which have the aesthetic score in place of the target size."""
    config = pipeline.unet.config
    if config.addition_embed_type != "text_time":
        return 6
    beside = config.projection_class_embeddings_input_dim - pipeline.text_encoder_2.config.projection_dim
    return beside // config.addition_time_embed_dim


def stable_diffusion_xl(pipeline: DiffusionPipeline) -> list[Part]:
    second = pipeline.text_encoder_2
    length = clip_length(pipeline.tokenizer_2, second)
    texts = [text_part("text_encoder_2", second, length, ["text_embeds", "last_hidden_state", *layers(second)])]
    if pipeline.text_encoder is not None:  # the refiner has the second encoder alone
        first = pipeline.text_encoder
        texts.insert(0, text_part("text_encoder", first, length, ["last_hidden_state", "pooler_output", *layers(first)]))
    return [*texts, *unet_parts(pipeline), *vae_parts(pipeline.vae)]


def flux(pipeline: DiffusionPipeline) -> list[Part]:
    clip = text_part("text_encoder", pipeline.text_encoder, clip_length(pipeline.tokenizer, pipeline.text_encoder), ["last_hidden_state", "pooler_output"])
    t5 = text_part("text_encoder_2", pipeline.text_encoder_2, 24, ["last_hidden_state"])
    return [clip, t5, flux_part(pipeline.transformer), *vae_parts(pipeline.vae)]


def stable_diffusion_3(pipeline: DiffusionPipeline) -> list[Part]:
    clips = {"text_encoder": pipeline.text_encoder, "text_encoder_2": pipeline.text_encoder_2}
    texts = [text_part(name, clip, clip_length(pipeline.tokenizer, clip), ["text_embeds", *layers(clip)]) for name, clip in clips.items()]
    if pipeline.text_encoder_3 is not None:
        texts.append(text_part("text_encoder_3", pipeline.text_encoder_3, 24, ["last_hidden_state"]))
    return [*texts, sd3_part(pipeline.transformer), *vae_parts(pipeline.vae)]


def pixart(pipeline: DiffusionPipeline) -> list[Part]:
    text = text_part("text_encoder", pipeline.text_encoder, 24, ["last_hidden_state"], masked=True)
    return [text, pixart_part(pipeline.transformer), *vae_parts(pipeline.vae)]


def music_ldm(pipeline: DiffusionPipeline) -> list[Part]:
    text = clap_part(pipeline.text_encoder, pipeline.tokenizer.model_max_length)
    return [text, unet_part(pipeline.unet), *vae_parts(pipeline.vae), vocoder_part(pipeline.vocoder)]


# Pipelines of the same parts for other tasks.
TASKS = ("", "Img2Img", "Inpaint")
FAMILIES = {
    "MusicLDMPipeline": music_ldm,
    "PixArtAlphaPipeline": pixart,
    "PixArtSigmaPipeline": pixart,
    **{f"Flux{task}Pipeline": flux for task in TASKS},
    **{f"StableDiffusion3{task}Pipeline": stable_diffusion_3 for task in TASKS},
    **{f"StableDiffusion{control}{task}Pipeline": stable_diffusion for control in ("", "ControlNet") for task in TASKS},
    **{f"StableDiffusionXL{control}{task}Pipeline": stable_diffusion_xl for control in ("", "ControlNet") for task in TASKS},
}

# Components of pipelines that are in no export, and those of each family that a pipeline may lack.
UNUSED = ("feature_extractor", "image_encoder", "safety_checker")
OPTIONAL = {stable_diffusion_xl: ("text_encoder", "tokenizer"), stable_diffusion_3: ("text_encoder_3", "tokenizer_3")}

# UNets that want a class of each picture, which these pipelines have not.
CLASSES = ["num_class_embeds", "class_embed_type"]
# Fields of configurations by which diffusers makes something else, and which neither the files nor `load()` follow. ts/families refuses the same.
UNFOLLOWED = {
    stable_diffusion: {"unet": ["time_cond_proj_dim", *CLASSES], "text_encoder": ["use_attention_mask"], "controlnet": ["global_pool_conditions"]},
    stable_diffusion_xl: {"unet": ["time_cond_proj_dim", *CLASSES], "vae": ["latents_mean", "latents_std"], "controlnet": ["global_pool_conditions"]},
}

# Values of UNets' fields, and kinds of blocks, that run in these pipelines and at any size; diffusers has others for other pipelines, or runs them nowhere.
FOLLOWED = {"encoder_hid_dim_type": (None, "text_proj"), "dual_cross_attention": (None, False)}
ADDED = {stable_diffusion: (None, "text"), stable_diffusion_xl: ("text_time",)}
BLOCKS = "(Simple)?(CrossAttn|Attn)?(Down|Up)Block2D|UNetMidBlock2D((Simple)?CrossAttn)?"

# How transformers are cut, by their class.
PLANS = {"FluxTransformer2DModel": flux_plan, "PixArtTransformer2DModel": pixart_plan, "SD3Transformer2DModel": sd3_plan}
VAE_PARTS = ("vae_decoder", "vae_encoder")
# Networks whose weights their stages share.
STAGED = {"unet", "transformer"}
# A protobuf holds 2 GiB; what fits stays one file.
LARGEST_INSIDE = 1_500_000_000  # bytes

# Sizes beside the traced one at which each file is run; the UNet's are multiples of what its halvings need.
UNET_SIZES = [{"rows": 1, "height": 16, "width": 16, "length": 77}, {"rows": 2, "height": 19, "width": 17}, {"rows": 4, "height": 24, "width": 16, "length": 20, "steps": 1}]
# Sizes at each depth, and of pictures for a ControlNet, follow from those of the latents.
SIZES = {
    "text_encoder": [{"rows": 1}, {"rows": 3}],
    "text_encoder_2": [{"rows": 1}, {"rows": 3}],
    "text_encoder_3": [{"rows": 1}, {"rows": 3}],
    "unet": UNET_SIZES,
    # Flux has tokens, the others a map; sides for patches of 2.
    "transformer": [
        {"rows": 1, "tokens": 35, "height": 14, "width": 10, "length": 16},
        {"rows": 3, "tokens": 4, "height": 2, "width": 8, "length": 5},
    ],
    "vocoder": [{"rows": 1, "frames": 7}],
    "vae_decoder": [{"rows": 2, "latent_height": 8, "latent_width": 7}],
    "vae_encoder": [{"rows": 2, "height": 64, "width": 32}],
}


def export(pipeline: DiffusionPipeline, source: Path, output: Path, dtype: str = "fp32", staged: bool = True) -> None:
    """Writes the pipeline's ONNX folder. Raises `Disagreement` when a file does not match PyTorch; it is then removed."""
    kind = type(pipeline).__name__
    if kind not in FAMILIES:
        raise SystemExit(f"Expected a pipeline of {', '.join(FAMILIES)}; {source} holds a {kind}.")
    refuse_without_parts(pipeline, source)
    refuse_unfollowed(pipeline)
    output.mkdir(parents=True, exist_ok=True)
    for part in FAMILIES[kind](pipeline):
        # The published autoencoder of SDXL overflows float16. Text encoders run on the CPU, for which ONNX Runtime has no kernels of bfloat16.
        overflows = part.name.startswith("vae_") and pipeline.vae.config.get("force_upcast")
        unknown = part.name.startswith("text_encoder") and dtype == "bf16"
        try:
            write(part, output / part.name, "fp32" if overflows or unknown else dtype, staged)
        except Overflow as reason:
            # On the CPU, where text encoders run, float16 saves no time; the other networks are what it was asked for.
            if not part.name.startswith("text_encoder"):
                raise Overflow(f"{reason}. Export with --dtype fp32, or bf16 for a GPU.") from reason
            print(f"{part.name}: stays float32 ({reason})", flush=True)
            write(part, output / part.name, "fp32", staged)
    copy_settings(source, output)


def refuse_without_parts(pipeline: DiffusionPipeline, source: Path) -> None:
    kind = type(pipeline).__name__
    optional = (*UNUSED, "scheduler", *OPTIONAL.get(FAMILIES[kind], ()))
    for name, part in pipeline.components.items():
        if part is None and name not in optional:
            raise SystemExit(f"Expected a {kind} with its {name}; model_index.json in {source} says that it has none. Export a folder that was saved with it.")


def refuse_unfollowed(pipeline: DiffusionPipeline) -> None:
    # The tiny one draws nothing; one that reads the mask as well is not told it.
    if type(pipeline.vae) is not AutoencoderKL:
        raise SystemExit(f"Expected an AutoencoderKL as vae, found: {type(pipeline.vae).__name__}. Put an AutoencoderKL of the same latents in its place.")
    family = FAMILIES[type(pipeline).__name__]
    for name in ("unet", "controlnet"):
        for one in networks(pipeline, name):
            refuse_unknown(one, name, FOLLOWED | ({"addition_embed_type": ADDED[family]} if family in ADDED else {}))
    for name, fields in UNFOLLOWED.get(family, {}).items():
        for one in networks(pipeline, name):
            for field in fields:
                value = getattr(one.config, field, None)
                if value not in (None, False):
                    raise SystemExit(f"Expected no {field} in {name}/config.json, found {value}: diffusers follows it, sada does not. Export a model without it.")


def networks(pipeline: DiffusionPipeline, name: str) -> list[torch.nn.Module]:
    """The component, each of the several ControlNets, or none."""
    component = pipeline.components.get(name)
    return list(getattr(component, "nets", [] if component is None else [component]))


def refuse_unknown(net: torch.nn.Module, name: str, followed: dict[str, tuple[object, ...]]) -> None:
    """A UNet or ControlNet that diffusers cannot run on what the exported files get."""
    for field, values in followed.items():
        value = net.config.get(field)
        if value not in values:
            raise SystemExit(f"Expected {field} in {name}/config.json to be {' or '.join(map(str, values))}, found {value}: sada runs no such network. Export another model.")
    for block in (*net.down_blocks, net.mid_block, *getattr(net, "up_blocks", ())):
        kind = type(block).__name__
        if block is not None and not re.fullmatch(BLOCKS, kind):
            raise SystemExit(f"Expected blocks of Stable Diffusion in {name}/config.json, found {kind}: sada does not run it at every size. Export another model.")


def write(part: Part, folder: Path, dtype: str, staged: bool) -> None:
    """Writes a part, and its stages and plan where it has any; a folder that does not agree with PyTorch is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        plan = cut(part) if staged and part.name in STAGED else None
        write_files(part, plan, folder, dtype)
        found = check(part, folder / "model.onnx", sizes(part), dtype)
        print(f"{part.name}: largest difference to PyTorch {found:.1e} of its range", flush=True)
        if plan is not None:
            found = check_plan(plan, part, folder, sizes(part), dtype)
            counted = flops(plan, part, flop_sizes(plan, part))
            (folder / "plan.json").write_text(pretty(manifest(plan, folder, counted, part.name, dtype)) + "\n")
            print(f"{part.name}: {len(plan.stages)} stages, largest difference to the whole {found:.1e} of its range", flush=True)
    except BaseException:
        shutil.rmtree(folder)
        raise


def write_files(part: Part, plan: Plan | None, folder: Path, dtype: str) -> None:
    model = traced(part, dtype)
    if part.name in STAGED or model.ByteSize() > LARGEST_INSIDE:
        with WeightFile(folder / "model.onnx_data") as weights:
            weights.take(model)
            (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
            if plan is not None:
                write_stages(plan, folder, weights, dtype)
    else:
        (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


def cut(part: Part) -> Plan | None:
    """The part's stages, or None with a line that says why it stays whole."""
    try:
        if part.name == "transformer":
            return PLANS[type(part.module.transformer).__name__](part.module.transformer)
        ids = part.inputs["time_ids"].shape[1] if "time_ids" in part.inputs else 6
        return unet_plan(part.module.unet, "mid_block_additional_residual" in part.inputs, ids)
    except Uncuttable as reason:
        print(f"{part.name}: no plan ({reason})", flush=True)
        return None


def flop_sizes(plan: Plan, part: Part) -> list[tuple[int, dict[str, int]]]:
    """Numbers of tokens, and sizes of the latents that have them."""
    if plan.packed:
        return [(n, {"tokens": n, "length": LENGTH}) for n in (8, 16, 32, 64)]
    if part.name == "transformer":
        rows, columns = plan.patch
        return [(4 * k, {"height": k * rows, "width": 4 * columns, "length": LENGTH}) for k in (1, 2, 4, 8)]
    factor = 2 ** (len(part.module.unet.config.block_out_channels) - 1)
    return [(k * (factor // plan.patch[0]) ** 2, {"height": factor * k, "width": factor, "length": LENGTH, **deeper(factor * k, factor)}) for k in (1, 2, 4, 8)]


def sizes(part: Part) -> list[dict[str, int]]:
    """The sizes at which the part is run, with those that follow from others."""
    if part.name not in STAGED and not part.name.startswith("controlnet"):
        return SIZES.get(part.name, [])
    if part.name == "transformer":
        # Sides are whole patches.
        unit = part.module.transformer.config.patch_size
        return [{**one, "height": one["height"] // 2 * unit, "width": one["width"] // 2 * unit} for one in SIZES["transformer"]]
    made = []
    for one in UNET_SIZES:
        picture = {}
        if "controlnet_cond" in part.inputs:
            factor = part.inputs["controlnet_cond"].shape[2] // part.inputs["sample"].shape[2]
            picture = {f"image_{axis}": factor * one[axis] for axis in ("height", "width")}
        made.append({**one, **deeper(one["height"], one["width"]), **picture})
    return made


def deeper(height: int, width: int) -> dict[str, int]:
    """The sizes that a UNet's halvings make."""
    return {f"{axis}/{1 << k}": -(-size >> k) for axis, size in (("height", height), ("width", width)) for k in range(1, 6)}


def copy_settings(source: Path, output: Path) -> None:
    """Everything of the folder but the weights: model_index.json, tokenizers, scheduler, and each part's config.json."""
    for path in source.rglob("*"):
        inside = path.relative_to(source)
        # Of an ONNX export that some published folders have beside the weights; those of the folder's own autoencoder are written here.
        if inside.parts[0] in VAE_PARTS:
            continue
        kept = path.suffix in (".json", ".txt", ".model") and not path.name.endswith(".index.json")
        if not path.is_file() or not kept:
            continue
        roots = [Path(one) for one in VAE_PARTS] if inside.parts[0] == "vae" else [Path(inside.parts[0])]
        for root in roots if len(inside.parts) > 1 else [inside]:
            target = output / root / Path(*inside.parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def settings_of(folder: Path) -> dict[str, object]:
    return json.loads((folder / "model_index.json").read_text())
