"""Exports a diffusers folder to ONNX with a staged plan. See README.md.

    cd models && python -m export <diffusers folder> -o <output folder> [--dtype fp32|fp16|bf16] [--lora file[=scale] …]
"""

import argparse
import errno
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import ControlNetModel, DiffusionPipeline, MultiControlNetModel, StableDiffusionControlNetPipeline, StableDiffusionXLControlNetPipeline
from safetensors import SafetensorError

from .families import FAMILIES, UNUSED, export
from .narrow import TYPES
from .parts import residual_shapes, text_width
from .verify import Disagreement

CONTROLLED = {"StableDiffusionPipeline": StableDiffusionControlNetPipeline, "StableDiffusionXLPipeline": StableDiffusionXLControlNetPipeline}

# Files of which `load()` takes a tokenizer: any one of these sets.
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m export", description="A diffusers folder as ONNX files with a staged plan.")
    parser.add_argument("folder", type=Path, help="diffusers folder, with model_index.json")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write; must not exist or be empty")
    parser.add_argument("--dtype", choices=["fp32", *TYPES], default="fp32", help="type of weights and arithmetic (default fp32)")
    parser.add_argument("--lora", action="append", default=[], metavar="FILE[=SCALE]", help="LoRA to fold into the weights; may be repeated")
    parser.add_argument("--controlnet", action="append", type=Path, default=[], metavar="FOLDER", help="ControlNet to add; may be repeated")
    parser.add_argument("--no-plan", action="store_true", help="write the whole networks alone")
    return parser.parse_args()


def read_index(folder: Path) -> dict[str, object]:
    """model_index.json, of a pipeline that is exported."""
    try:
        index = json.loads((folder / "model_index.json").read_text())
        kind = index["_class_name"]
    except (ValueError, TypeError, KeyError) as error:
        raise SystemExit(f"Expected model_index.json in {folder} to name the pipeline's class: {type(error).__name__}, {error}.") from error
    if kind not in FAMILIES:
        raise SystemExit(f"Expected a pipeline of {', '.join(FAMILIES)}; {folder} holds a {kind}.")
    return index


def from_folder(kind: type, folder: Path, **given: object) -> object:
    try:
        return kind.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True, use_safetensors=True, **given)
    except (OSError, SafetensorError) as error:  # files that are missing, cut or damaged
        wanted = "every part with config.json and .safetensors files that have no variant (.fp16.) in their names"
        raise SystemExit(f"Expected a whole diffusers folder in {folder}, {wanted}.\n{error}") from error
    except (AttributeError, ImportError, RuntimeError, ValueError) as error:  # of diffusers or transformers, by what the configurations say
        readers = f"diffusers {diffusers.__version__} and transformers {transformers.__version__}"
        raise SystemExit(f"Expected a folder that {readers} can read; of {folder} they say:\n{error}") from error


def read_encoders(folder: Path, index: dict[str, object]) -> dict[str, torch.nn.Module]:
    """The parts that are transformers', which draws weights that their files lack at random."""
    parts = {}
    for name, given in index.items():
        if not isinstance(given, list) or given[0] != "transformers" or name in UNUSED:
            continue
        kind = getattr(transformers, given[1], None)
        if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel):
            parts[name], found = from_folder(kind, folder / name, output_loading_info=True)
            # Of CLAP its text alone is exported.
            weights = {key for key, _ in parts[name].named_parameters() if not key.startswith(("audio_", "logit_"))}
            refuse_missing(folder / name, sorted(weights.intersection(found["missing_keys"])))
    return parts


def refuse_without_settings(folder: Path, index: dict[str, object]) -> None:
    """What is copied for `load()`. Where a tokenizer has no files transformers makes an empty one."""
    scheduler = folder / "scheduler/scheduler_config.json"
    if not scheduler.is_file():
        raise SystemExit(f"Expected a scheduler's configuration, found none at {scheduler}.")
    for name, given in index.items():
        if not name.startswith("tokenizer") or given == [None, None]:
            continue
        if not any(all((folder / name / file).is_file() for file in files) for files in TOKENIZERS):
            wanted = ", or ".join(" and ".join(files) for files in TOKENIZERS)
            raise SystemExit(f"Expected a tokenizer in {folder / name}: {wanted}; found none of them.")


def refuse_missing(folder: Path, names: list[str]) -> None:
    if names:
        raise SystemExit(f"Expected all weights in {folder}; {names[0]}{f' and {len(names) - 1} others are' if len(names) > 1 else ' is'} in no file of it.")


def controlnet_for(pipeline: DiffusionPipeline, folder: Path) -> ControlNetModel:
    """A ControlNet, once it fits the pipeline's UNet."""
    net = from_folder(ControlNetModel, folder)
    # diffusers reads what it knows of any network's folder, and draws the other weights at random.
    kind = json.loads((folder / "config.json").read_text()).get("_class_name")
    if kind != "ControlNetModel":
        raise SystemExit(f"Expected a ControlNetModel in {folder}, found a {kind}.")
    refuse_missing(folder, [name for name, value in net.named_parameters() if value.is_meta])
    for what, own, wanted in (
        ("channels of pictures", net.config.conditioning_channels, 3),
        ("text features", text_width(net), text_width(pipeline.unet)),
        ("residuals", residual_shapes(net), residual_shapes(pipeline.unet)),
    ):
        if own != wanted:
            raise SystemExit(f"Expected a ControlNet of the UNet's kind in {folder}: its {what} are {own}, not {wanted}.")
    return net


def load(folder: Path, controlnets: list[Path]) -> DiffusionPipeline:
    """The pipeline of a local folder in float32, which is what files of every type are traced from; nothing is fetched."""
    # No export reads pictures or sounds: a folder may lack what prepares them, and what looks at those that were made.
    index = read_index(folder)
    refuse_without_settings(folder, index)
    # diffusers reads a pipeline that it saved without a text encoder once it is told of it. Some classes of schedulers want packages of their own.
    unused = {name: None for name, given in index.items() if name in (*UNUSED, "scheduler") or given == [None, None]}
    pipeline = from_folder(DiffusionPipeline, folder, **unused, **read_encoders(folder, index))
    # diffusers leaves those without values.
    refuse_missing(folder, [name for name, value in parameters(pipeline) if value.is_meta])
    if not controlnets:
        return pipeline
    kind = CONTROLLED.get(type(pipeline).__name__)
    if kind is None:
        raise SystemExit(f"Expected a pipeline of {' or '.join(CONTROLLED)} to add ControlNets to; {folder} holds a {type(pipeline).__name__}.")
    nets = [controlnet_for(pipeline, path) for path in controlnets]
    return kind.from_pipe(pipeline, controlnet=nets[0] if len(nets) == 1 else MultiControlNetModel(nets), torch_dtype=torch.float32)


def fold(pipeline: DiffusionPipeline, loras: list[str]) -> None:
    """Adds each LoRA, times its scale, to the weights."""
    if loras and not hasattr(pipeline, "load_lora_weights"):
        raise SystemExit(f"Expected a pipeline that diffusers has LoRA for, found a {type(pipeline).__name__}.")
    for one in loras:
        file, scale = file_and_scale(one)
        if not file.is_file():
            raise SystemExit(f"Expected a LoRA file, found none at {file}.")
        unfit = f"Expected a LoRA for this {type(pipeline).__name__}; {{}} in {file} fits it. Give one that was trained on the same model."
        try:
            pipeline.load_lora_weights(file.parent, weight_name=file.name, local_files_only=True)
        except Exception as error:  # of PEFT, torch or diffusers, by what does not fit
            raise SystemExit(f"{unfit.format('not all')}\n{error}") from error
        # diffusers only warns; a pattern that fits without the weights leaves zeros.
        if not any(".lora_B." in name and bool(value.any()) for name, value in parameters(pipeline)):
            raise SystemExit(unfit.format("nothing"))
        pipeline.fuse_lora(lora_scale=scale)
        pipeline.unload_lora_weights()


def file_and_scale(given: str) -> tuple[Path, float]:
    """FILE or FILE=SCALE; a name of a file may have an = of its own."""
    file, equals, scale = given.rpartition("=")
    try:
        return (Path(file), float(scale)) if equals else (Path(given), 1.0)
    except ValueError:
        return Path(given), 1.0


def parameters(pipeline: DiffusionPipeline) -> Iterator[tuple[str, torch.Tensor]]:
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            yield from part.named_parameters()


def describe_controlnets(pipeline: DiffusionPipeline, output: Path) -> None:
    """Configurations of added ControlNets, and model_index.json as diffusers saves such a pipeline."""
    for k, net in enumerate(getattr(pipeline.controlnet, "nets", [pipeline.controlnet])):
        net.save_config(output / (f"controlnet_{k}" if k else "controlnet"))
    path = output / "model_index.json"
    index = json.loads(path.read_text()) | {"_class_name": type(pipeline).__name__, "controlnet": ["diffusers", type(pipeline.controlnet).__name__]}
    path.write_text(json.dumps(index, indent=2) + "\n")


def check_folders(folder: Path, output: Path) -> None:
    if not (folder / "model_index.json").is_file():
        raise SystemExit(f"Expected a diffusers folder; {folder} has no model_index.json.")
    # The settings that are copied out of the folder would be copied out of what was copied, and so on.
    if output.resolve().is_relative_to(folder.resolve()):
        raise SystemExit(f"Expected an output folder outside {folder}, found {output}; give -o a folder beside it.")
    if output.exists() and not output.is_dir():
        raise SystemExit(f"Expected a folder as output; {output} is a file.")
    if output.exists() and any(output.iterdir()):
        raise SystemExit(f"Expected an empty output folder; {output} has files.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output).close()
    except OSError as error:
        raise SystemExit(f"Expected an output folder that can be written to, found {output}: {error}.") from error


def clear(folder: Path) -> None:
    for path in folder.iterdir() if folder.exists() else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> None:
    options = arguments()
    is_new = not options.output.exists()
    check_folders(options.folder, options.output)
    try:
        pipeline = load(options.folder, options.controlnet)
        fold(pipeline, options.lora)
        export(pipeline, options.folder, options.output, options.dtype, staged=not options.no_plan)
        if options.controlnet:
            describe_controlnets(pipeline, options.output)
    except BaseException as error:
        # Half a folder would keep the same command from running again.
        clear(options.output)
        if is_new:
            options.output.rmdir()
        # An OSError is the disk's: full, gone, or not to be written to.
        if isinstance(error, (Disagreement, OSError, KeyboardInterrupt)):
            # A disk that is full has no name; temporary files are as large as a part in float32.
            places = f": files are written in {options.output} and in {tempfile.gettempdir()}, which TMPDIR moves" if getattr(error, "errno", 0) == errno.ENOSPC else ""
            sys.exit(f"{str(error) or 'Interrupted.'}{places}\nNothing is left in {options.output}.")
        raise


if __name__ == "__main__":
    main()
