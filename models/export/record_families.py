"""Writes test/fixtures/families: small random models of each family, exported, with what diffusers' own pipelines make of them.

    cd models && python -m export.record_families [family …]

The same versions of PyTorch and diffusers give the same files.
"""

import shutil
import sys
import tempfile
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FluxImg2ImgPipeline,
    FluxInpaintPipeline,
    MusicLDMPipeline,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
)

from . import tiny
from .families import export
from .recording import Recording

FIXTURES = Path(__file__).parents[2] / "test/fixtures/families"
PROMPT, NEGATIVE = "A photo of the cat and the dog on the road!", "blurry, 3 hands; café 😀"
STEPS = 6
NOTE = """Recorded from diffusers' own pipelines on the CPU in float32, on this folder's weights. "noise" is the first draw of torch.Generator().manual_seed(seed), before the
scheduler scales it; "latents" are those after each step; "final" are the last ones, as the decoder's division by the scaling factor takes them; "image" is height × width ×
channels in [0, 1]. Guidance 1 runs the prompt alone."""


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture [1, h, w, 3] in [0, 1] and a mask [h, w] of 0 and 1, made of integers so that they are the same everywhere."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([(x * 7) % 256, (y * 5) % 256, ((x + y) * 3) % 256], -1).astype(np.float32) / 255
    mask = ((x >= width // 4) & (y < height // 2)).astype(np.float32)
    return image[None], mask


def run(pipeline, **call) -> dict[str, object]:
    """Latents after each step, final latents and the picture of one call."""
    steps: list[torch.Tensor] = []

    def keep(_pipeline, _step, _timestep, values):
        steps.append(values["latents"].clone())
        return {}

    pipeline.set_progress_bar_config(disable=True)
    image = pipeline(**call, output_type="np", callback_on_step_end=keep).images
    return {"timesteps": pipeline.scheduler.timesteps.tolist(), "latents": torch.stack(steps), "final": steps[-1], "image": image}


def states(pipeline, **call) -> tuple[list[torch.Tensor], object]:
    """Latents after each step, and the output, of one call of a pipeline that has diffusers' older callback."""
    steps: list[torch.Tensor] = []
    made = pipeline(**call, callback=lambda _step, _time, latents: steps.append(latents.clone()))
    return steps, made


def text(pipeline, prompt: str, negative: str) -> dict[str, object]:
    """Ids and embeddings of one tokenizer and text encoder."""
    ids = [pipeline.tokenizer(one, padding="max_length", max_length=77, truncation=True).input_ids for one in (prompt, negative)]
    cond, uncond = pipeline.encode_prompt(prompt, "cpu", 1, True, negative_prompt=negative)
    return {"ids": ids[0], "negative_ids": ids[1], "embedding": cond, "negative_embedding": uncond}


SCHEDULERS = {"euler": EulerDiscreteScheduler, "dpm++": DPMSolverMultistepScheduler}


def schedulers(pipeline, predictions=("epsilon", "v_prediction")):
    """Each of the schedulers of the paper with each prediction, from the pipeline's own configuration."""
    config = pipeline.scheduler.config
    for name, kind in SCHEDULERS.items():
        for prediction in predictions:
            yield f"{name} {prediction}", kind.from_config(config, prediction_type=prediction)


def stochastic(pipeline):
    """Those whose steps draw noise, from the same generator."""
    config = pipeline.scheduler.config
    yield "dpm++-sde", DPMSolverMultistepScheduler.from_config(config, algorithm_type="sde-dpmsolver++")
    yield "euler-ancestral", EulerAncestralDiscreteScheduler.from_config(config)


def settings(scheduler) -> dict[str, object]:
    return {"_class_name": type(scheduler).__name__, **{key: value for key, value in scheduler.config.items() if not key.startswith("_")}}


def record_sd2(folder: Path, source: Path) -> None:
    pipeline = tiny.sd2(source)
    export(pipeline, source, folder)
    # Published SD 2 folders have the slow tokenizer's files alone.
    (folder / "tokenizer/tokenizer.json").unlink()
    recording = Recording(NOTE)
    words = text(pipeline, PROMPT, NEGATIVE)
    for name, scheduler in schedulers(pipeline):
        for guidance in (1, 7.5):
            pipeline.scheduler = scheduler
            call = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, "guidance_scale": guidance, "height": 32, "width": 48}
            noise = torch.randn(1, 4, 16, 24, generator=generator(7))
            made = run(pipeline, **call, generator=generator(7))
            recording.add(name=f"{name}, guidance {guidance}", task="text-to-image", scheduler=settings(scheduler), seed=7, **call, **words, noise=noise, **made)

    both = [PROMPT, "the dog"], [NEGATIVE, ""]
    call = {"prompt": both[0], "negative_prompt": both[1], "num_inference_steps": STEPS, "guidance_scale": 5, "height": 32, "width": 32}
    made = run(pipeline, **call, generator=[generator(1), generator(2)])
    recording.add(name="two prompts, a seed each", task="text-to-image", scheduler=settings(pipeline.scheduler), seeds=[1, 2], **call, **made)

    image, mask = pictures(32, 48)
    call = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 8, "guidance_scale": 5, "strength": 0.6}
    parts = {key: value for key, value in pipeline.components.items() if key != "image_encoder"}
    for name, scheduler in schedulers(pipeline, ["epsilon"]):
        for kind, task, given in ((StableDiffusionImg2ImgPipeline, "image-to-image", {}), (StableDiffusionInpaintPipeline, "inpainting", {"mask_image": mask, "height": 32, "width": 48})):
            other = kind(**{**parts, "scheduler": scheduler}, requires_safety_checker=False)
            made = run(other, **call, **given, image=image, generator=generator(5))
            recording.add(name=f"{task}, {name}", task=task, scheduler=settings(scheduler), seed=5, **call, **given, init=image, **made)

    own = pipeline.scheduler
    for name, scheduler in stochastic(pipeline):
        pipeline.scheduler = scheduler
        call = {"prompt": both[0], "negative_prompt": both[1], "num_inference_steps": 8, "guidance_scale": 5}
        made = run(pipeline, **call, height=32, width=32, generator=[generator(1), generator(2)])
        recording.add(name=f"two prompts, {name}", task="text-to-image", scheduler=settings(scheduler), seeds=[1, 2], **call, height=32, width=32, **made)
        other = StableDiffusionImg2ImgPipeline(**{**parts, "scheduler": scheduler}, requires_safety_checker=False)
        call = {"prompt": PROMPT, "num_inference_steps": 8, "guidance_scale": 5, "strength": 0.6}
        made = run(other, **call, image=image, generator=generator(5))
        recording.add(name=f"image-to-image, {name}", task="image-to-image", scheduler=settings(scheduler), seed=5, **call, init=image, **made)
        other = StableDiffusionInpaintPipeline(**{**parts, "scheduler": scheduler}, requires_safety_checker=False)
        given = {"mask_image": mask, "height": 32, "width": 48}
        made = run(other, **call, **given, image=image, generator=generator(5))
        recording.add(name=f"inpainting, {name}", task="inpainting", scheduler=settings(scheduler), seed=5, **call, **given, init=image, **made)
    pipeline.scheduler = own

    # The last tiles are cut off: 44 latents in steps of 12, 20 in steps of 12.
    pipeline.vae.enable_tiling()
    size = {"height": 40, "width": 88}
    tiled = {"scheduler": settings(pipeline.scheduler), "seed": 5, "tile_size": pipeline.vae.tile_sample_min_size}
    call = {"prompt": PROMPT, "num_inference_steps": 2, "guidance_scale": 1}
    made = run(pipeline, **call, **size, generator=generator(5))
    recording.add(name="in tiles", task="text-to-image", **tiled, **call, **size, **made)
    image, _ = pictures(**size)
    made = run(StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False), **call, image=image, generator=generator(5))
    recording.add(name="image-to-image, in tiles", task="image-to-image", **tiled, **call, strength=0.8, init=image, **made)
    recording.write(folder)


def record_sd2_inpainting(folder: Path, source: Path) -> None:
    pipeline = tiny.sd2_inpainting(source)
    export(pipeline, source, folder)
    (folder / "tokenizer/tokenizer.json").unlink()
    recording = Recording(NOTE)
    image, mask = pictures(32, 48)
    call = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, "mask_image": mask, "height": 32, "width": 48}
    for name, scheduler in schedulers(pipeline, ["epsilon"]):
        for strength, guidance in ((1.0, 1), (1.0, 5), (0.7, 5)):
            pipeline.scheduler = scheduler
            given = {**call, "strength": strength, "guidance_scale": guidance}
            made = run(pipeline, **given, image=image, generator=generator(5))
            recording.add(name=f"{name}, strength {strength}, guidance {guidance}", task="inpainting", scheduler=settings(scheduler), seed=5, **given, init=image, **made)
    recording.write(folder)


def record_sdxl(folder: Path, source: Path) -> None:
    pipeline = tiny.sdxl(source)
    export(pipeline, source, folder)
    recording = Recording(NOTE)

    def ids(prompt: str) -> dict[str, object]:
        made = [one(prompt, padding="max_length", max_length=77, truncation=True).input_ids for one in (pipeline.tokenizer, pipeline.tokenizer_2)]
        return {"ids": made[0], "ids_2": made[1]}

    def text(**prompts) -> dict[str, object]:
        embeddings = pipeline.encode_prompt(device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True, **prompts)
        return dict(zip(("embedding", "negative_embedding", "pooled", "negative_pooled"), embeddings))

    prompts = {"prompt": PROMPT, "negative_prompt": NEGATIVE}
    size = {"height": 32, "width": 48}
    noise = torch.randn(1, 4, 16, 24, generator=generator(7))
    for name, scheduler in schedulers(pipeline):
        for guidance in (1, 5):
            pipeline.scheduler = scheduler
            call = {**prompts, **size, "num_inference_steps": STEPS, "guidance_scale": guidance}
            made = run(pipeline, **call, generator=generator(7))
            recording.add(name=f"{name}, guidance {guidance}", task="text-to-image", scheduler=settings(scheduler), seed=7, **call, **ids(PROMPT), **text(**prompts), noise=noise, **made)

    _, scheduler = next(schedulers(pipeline))
    pipeline.scheduler = scheduler
    variants = {
        "no negative prompt: zeros in its place": {"prompt": PROMPT},
        "a prompt for each encoder": {**prompts, "prompt_2": "the dog", "negative_prompt_2": "cat"},
        "other sizes told to the network": {
            **prompts,
            "original_size": (64, 80),
            "crops_coords_top_left": (4, 8),
            "target_size": (40, 48),
            "negative_original_size": (16, 16),
            "negative_crops_coords_top_left": (1, 2),
            "negative_target_size": (24, 32),
        },
        "guidance rescaled": {**prompts, "guidance_rescale": 0.7},
        "first part of the noise levels": {**prompts, "denoising_end": 0.6},
    }
    for name, given in variants.items():
        call = {**given, **size, "num_inference_steps": STEPS, "guidance_scale": 5}
        words = text(**{key: value for key, value in given.items() if "prompt" in key})
        made = run(pipeline, **call, generator=generator(7))
        recording.add(name=name, task="text-to-image", scheduler=settings(scheduler), seed=7, **call, **words, noise=noise, **made)
    halfway = made["final"]

    image, mask = pictures(32, 48)
    parts = {key: value for key, value in pipeline.components.items() if key not in ("feature_extractor", "image_encoder")}
    call = {**prompts, "num_inference_steps": 8, "guidance_scale": 5}
    tasks = [
        ("second part of the noise levels", StableDiffusionXLImg2ImgPipeline, "image-to-image", {"image": halfway, "denoising_start": 0.6, "num_inference_steps": STEPS}),
        ("image-to-image", StableDiffusionXLImg2ImgPipeline, "image-to-image", {"image": image, "strength": 0.6}),
        ("inpainting", StableDiffusionXLInpaintPipeline, "inpainting", {"image": image, "mask_image": mask, "strength": 0.6, **size}),
    ]
    for name, kind, task, given in tasks:
        other = kind(**parts)
        made = run(other, **{**call, **given}, generator=generator(5))
        given = {"init" if key == "image" else key: value for key, value in given.items()}
        recording.add(name=name, task=task, scheduler=settings(scheduler), seed=5, **{**call, **given}, **made)

    # A picture in place of noisy latents: nothing is added to it.
    call = {"prompt": PROMPT, "num_inference_steps": 8, "guidance_scale": 5, "denoising_start": 0.6}
    ancestral = EulerAncestralDiscreteScheduler.from_config(scheduler.config)
    other = StableDiffusionXLImg2ImgPipeline(**{**parts, "scheduler": ancestral})
    made = run(other, **call, image=image, generator=generator(5))
    recording.add(name="picture in the middle of the noise levels, euler-ancestral", task="image-to-image", scheduler=settings(ancestral), seed=5, **call, init=image, **made)
    given = {"mask_image": mask, "strength": 1.0, **size}
    made = run(StableDiffusionXLInpaintPipeline(**parts), **call, **given, image=image, generator=generator(5))
    recording.add(name="inpainting from the middle of the noise levels", task="inpainting", scheduler=settings(scheduler), seed=5, **call, **given, init=image, **made)
    recording.write(folder)


def record_flux(folder: Path, source: Path, guided: bool = True) -> None:
    pipeline = tiny.flux(source, guided)
    export(pipeline, source, folder)
    recording = Recording(NOTE + " Flux's latents are packed, [1, tokens, channels].")
    flow = pipeline.scheduler
    dpm = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, use_dynamic_shifting=True)
    length = 32
    size = {"height": 32, "width": 48}

    def words(prompt: str) -> dict[str, object]:
        first = pipeline.tokenizer(prompt, padding="max_length", max_length=77, truncation=True).input_ids
        second = pipeline.tokenizer_2(prompt, padding="max_length", max_length=length, truncation=True).input_ids
        embedding, pooled, positions = pipeline.encode_prompt(prompt, prompt, "cpu", max_sequence_length=length)
        return {"ids": first, "ids_2": second, "embedding": embedding, "pooled": pooled, "text_positions": positions}

    strength = {"guidance_scale": 3.5 if guided else 0.0}
    cases = [("euler", flow, {**size, **strength})]
    if guided:
        cases += [
            ("euler, without distilled guidance", flow, {**size, "guidance_scale": 1.0}),
            ("euler, negative prompt", flow, {**size, **strength, "negative_prompt": NEGATIVE, "true_cfg_scale": 4.0}),
            ("euler, larger: the shift follows the number of tokens", flow, {"height": 64, "width": 72, **strength}),
            ("dpm++", dpm, {**size, **strength}),
            ("dpm++, negative prompt", dpm, {**size, **strength, "negative_prompt": NEGATIVE, "true_cfg_scale": 4.0}),
        ]
    for name, scheduler, given in cases:
        pipeline.scheduler = scheduler
        call = {"prompt": PROMPT, "num_inference_steps": STEPS, "max_sequence_length": length, **given}
        noise = torch.randn(1, 4, given["height"] // 2, given["width"] // 2, generator=generator(7))
        made = run(pipeline, **call, generator=generator(7))
        recording.add(name=name, task="text-to-image", scheduler=settings(scheduler), seed=7, **call, **words(PROMPT), noise=noise, sigmas=scheduler.sigmas.tolist(), **made)

    if guided:
        pipeline.scheduler = flow
        image, mask = pictures(32, 48)
        parts = {key: value for key, value in pipeline.components.items() if key not in ("feature_extractor", "image_encoder")}
        call = {"prompt": PROMPT, "num_inference_steps": 8, "max_sequence_length": length, "strength": 0.6, **strength, **size}
        for task, kind, given in [("image-to-image", FluxImg2ImgPipeline, {}), ("inpainting", FluxInpaintPipeline, {"mask_image": mask})]:
            made = run(kind(**parts), **call, **given, image=image, generator=generator(5))
            recording.add(name=task, task=task, scheduler=settings(flow), seed=5, **call, **given, init=image, **made)
    recording.write(folder)


def record_sd3(folder: Path, source: Path) -> None:
    pipeline = tiny.sd3(source)
    export(pipeline, source, folder)
    recording = Recording(NOTE + ' "without": what the pipeline lacked.')
    flow = pipeline.scheduler
    dpm = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    dynamic = type(flow).from_config(flow.config, use_dynamic_shifting=True)
    length = 32
    common = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "max_sequence_length": length}
    size = {"height": 32, "width": 48}
    ids = {f"ids{suffix}": getattr(pipeline, f"tokenizer{suffix}")(PROMPT, padding="max_length", max_length=77, truncation=True).input_ids for suffix in ("", "_2")}
    for name, scheduler, given in [
        ("euler, guidance 7", flow, {"guidance_scale": 7}),
        ("euler, guidance 1", flow, {"guidance_scale": 1}),
        ("euler, the shift follows the number of tokens", dynamic, {"guidance_scale": 4}),
        ("dpm++", dpm, {"guidance_scale": 7}),
        ("dpm++, guidance 1", dpm, {"guidance_scale": 1}),
    ]:
        pipeline.scheduler = scheduler
        call = {**common, **size, "num_inference_steps": STEPS, **given}
        made = run(pipeline, **call, generator=generator(7))
        embeddings = dict(zip(("embedding", "negative_embedding", "pooled", "negative_pooled"), pipeline.encode_prompt(PROMPT, None, None, negative_prompt=NEGATIVE, max_sequence_length=length)))
        recording.add(name=name, task="text-to-image", scheduler=settings(scheduler), seed=7, **call, **ids, **embeddings, **made)

    pipeline.scheduler = flow
    image, mask = pictures(**size)
    parts = {key: value for key, value in pipeline.components.items() if key not in ("feature_extractor", "image_encoder")}
    call = {**common, "num_inference_steps": 8, "guidance_scale": 5, "strength": 0.6, **size}
    for task, kind, given in [("image-to-image", StableDiffusion3Img2ImgPipeline, {}), ("inpainting", StableDiffusion3InpaintPipeline, {"mask_image": mask})]:
        made = run(kind(**parts), **call, **given, image=image, generator=generator(5))
        # The inpainting pipeline of diffusers 0.42 leaves the shift out when it decodes; the picture is what the others make of its latents.
        with torch.no_grad():
            decoded = pipeline.vae.decode(made["final"] / pipeline.vae.config.scaling_factor + pipeline.vae.config.shift_factor).sample
        made["image"] = pipeline.image_processor.postprocess(decoded, output_type="np")
        recording.add(name=task, task=task, scheduler=settings(flow), seed=5, **call, **given, init=image, **made)

    lacking = ["text_encoder_3", "tokenizer_3"]
    call = {**common, **size, "num_inference_steps": STEPS, "guidance_scale": 7}
    made = run(type(pipeline)(**{**parts, **dict.fromkeys(lacking)}), **call, generator=generator(7))
    recording.add(name="without T5", task="text-to-image", scheduler=settings(flow), seed=7, **call, without=lacking, **made)
    recording.write(folder)


def record_pixart(folder: Path, source: Path, sized: bool = True) -> None:
    pipeline = tiny.pixart(source, sized)
    export(pipeline, source, folder)
    pipeline.set_progress_bar_config(disable=True)
    recording = Recording(NOTE + " Prompts are lower-cased, not cleaned otherwise.")
    common = {"max_sequence_length": 32, "num_inference_steps": STEPS}
    fixed = {"clean_caption": False, "use_resolution_binning": False}
    cases = [(name, scheduler, PROMPT, guidance, (32, 48)) for name, scheduler in schedulers(pipeline, ["epsilon"]) for guidance in (1, 4.5)]
    # The second size is the one that the small Sigma has its positions for.
    cases += [("two prompts, a seed each", pipeline.scheduler, [PROMPT, "the dog"], 4.5, (32, 32)), ("larger", pipeline.scheduler, PROMPT, 4.5, (64, 72))]
    for name, scheduler, prompt, guidance, (height, width) in cases:
        pipeline.scheduler = scheduler
        negative, seeds = ([NEGATIVE, ""], [1, 2]) if isinstance(prompt, list) else (NEGATIVE, [7])
        call = {**common, "prompt": prompt, "negative_prompt": negative, "guidance_scale": guidance, "height": height, "width": width}
        steps, output = states(pipeline, **call, **fixed, generator=[generator(one) for one in seeds], output_type="np")
        made = {"timesteps": scheduler.timesteps.tolist(), "latents": torch.stack(steps), "final": steps[-1], "image": output.images}
        recording.add(name=f"{name}, guidance {guidance}", task="text-to-image", scheduler=settings(scheduler), seeds=seeds, **call, **made)
    recording.write(folder)


def record_controlnet(folder: Path, source: Path) -> None:
    pipeline = tiny.sd2_controlnet(source)
    export(pipeline, source, folder)
    (folder / "tokenizer/tokenizer.json").unlink()
    first, second = (np.ascontiguousarray(one) for one in (pictures(32, 48)[0], pictures(32, 48)[0][:, ::-1, ::-1]))
    recording = Recording(NOTE + ' "control" are the pictures for the ControlNets in use, in order.')
    nets = pipeline.controlnet.nets
    parts = {key: value for key, value in pipeline.components.items() if key not in ("controlnet", "image_encoder")}
    one = StableDiffusionControlNetPipeline(**parts, controlnet=nets[0], requires_safety_checker=False)
    noise = torch.randn(1, 4, 16, 24, generator=generator(7))
    both = {"controlnet_conditioning_scale": [0.5, 1.0], "control_guidance_start": [0.0, 0.3], "control_guidance_end": [0.6, 1.0]}
    for label, scheduler in schedulers(pipeline, ["epsilon"]):
        for name, chosen, controls, given in [
            ("one", one, [first], {"guidance_scale": 7.5}),
            ("one, guidance 1", one, [first], {"guidance_scale": 1}),
            ("one, weaker, in part of the steps", one, [first], {"guidance_scale": 5, "controlnet_conditioning_scale": 0.7, "control_guidance_start": 0.2, "control_guidance_end": 0.8}),
            ("two", pipeline, [first, second], {"guidance_scale": 5, **both}),
        ]:
            chosen.scheduler = scheduler
            call = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, "height": 32, "width": 48, **given}
            made = run(chosen, **call, image=controls if len(controls) > 1 else controls[0], generator=generator(7))
            recording.add(name=f"{label}, {name}", task="text-to-image", scheduler=settings(scheduler), seed=7, **call, control=np.stack(controls), noise=noise, **made)
    recording.write(folder)


def record_sdxl_controlnet(folder: Path, source: Path) -> None:
    pipeline = tiny.sdxl_controlnet(source)
    export(pipeline, source, folder)
    control, _ = pictures(32, 48)
    recording = Recording(NOTE + ' "control" are the pictures for the ControlNets in use, in order.')
    noise = torch.randn(1, 4, 16, 24, generator=generator(7))
    for (label, scheduler), guidance in product(schedulers(pipeline, ["epsilon"]), (5, 1)):
        pipeline.scheduler = scheduler
        call = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, "height": 32, "width": 48, "guidance_scale": guidance, "controlnet_conditioning_scale": 0.8}
        made = run(pipeline, **call, image=control, generator=generator(7))
        recording.add(name=f"{label}, guidance {guidance}", task="text-to-image", scheduler=settings(scheduler), seed=7, **call, control=control[None], noise=noise, **made)
    recording.write(folder)


def with_plain_features(pipeline: MusicLDMPipeline) -> MusicLDMPipeline:
    """transformers 5 gives an object where the pipeline, written for 4, takes the vectors."""
    features = pipeline.text_encoder.get_text_features
    pipeline.text_encoder.get_text_features = lambda *given, **named: features(*given, **named).pooler_output
    return pipeline


def record_musicldm(folder: Path, source: Path) -> None:
    pipeline = tiny.musicldm(source)
    export(pipeline, source, folder)
    with_plain_features(pipeline)
    pipeline.set_progress_bar_config(disable=True)
    recording = Recording(NOTE + ' "audio" is [1, samples]; "final" the latents before the division by the scaling factor; "mel" the decoder\'s output.')
    prompt, negative = "the drum and the beat, a song in C# at noon!", "low quality; café 😀"
    length = pipeline.tokenizer.model_max_length
    words = {}
    for prefix, one in (("", prompt), ("negative_", negative)):
        made = pipeline.tokenizer(one, padding="max_length", max_length=length, truncation=True)
        words |= {f"{prefix}ids": made.input_ids, f"{prefix}mask": made.attention_mask}
    uncond, cond = pipeline._encode_prompt(prompt, "cpu", 1, True, negative)
    words |= {"embedding": cond, "negative_embedding": uncond}
    for label, scheduler in schedulers(pipeline, ["epsilon"]):
        # 60 frames; 31 frames, which the VAE and the UNet have to round up; 42 frames, as 0.0215 / 0.0005 lies below 43
        for seconds, guidance, tiled in ((0.03, 1, False), (0.03, 2, False), (0.0157, 3.5, False), (0.03, 1, True), (0.0215, 1, False)):
            pipeline.scheduler = scheduler
            pipeline.vae.use_tiling = tiled
            tile = {"tile_size": pipeline.vae.tile_sample_min_size} if tiled else {}
            call = {"prompt": prompt, "negative_prompt": negative, "num_inference_steps": STEPS, "guidance_scale": guidance, "audio_length_in_s": seconds}
            steps, output = states(pipeline, **call, generator=generator(7))
            with torch.no_grad():
                mel = pipeline.vae.decode(steps[-1] / pipeline.vae.config.scaling_factor).sample
            noise = torch.randn(steps[0].shape, generator=generator(7))
            made = {"timesteps": scheduler.timesteps.tolist(), "latents": torch.stack(steps), "final": steps[-1], "mel": mel, "audio": output.audios}
            name = f"{label}, guidance {guidance}, {seconds} s{', in tiles' if tiled else ''}"
            recording.add(name=name, task="text-to-audio", scheduler=settings(scheduler), seed=7, **call, **tile, **words, noise=noise, **made)
    recording.write(folder)


RECORDERS = {
    "musicldm": record_musicldm,
    "sd2-controlnet": record_controlnet,
    "sdxl-controlnet": record_sdxl_controlnet,
    "sd2": record_sd2,
    "sd2-inpainting": record_sd2_inpainting,
    "sdxl": record_sdxl,
    "sd3": record_sd3,
    "pixart": record_pixart,
    "pixart-sigma": lambda folder, source: record_pixart(folder, source, sized=False),
    "flux": record_flux,
    "flux-schnell": lambda folder, source: record_flux(folder, source, guided=False),
}


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name in sys.argv[1:] or RECORDERS:
        folder = FIXTURES / name
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory() as source:
            RECORDERS[name](folder, Path(source))
        print(f"{folder}: {sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()):,} bytes")


if __name__ == "__main__":
    main()
