"""Records what PyTorch makes of the bundled model's checkpoint, for the tests: `test/fixtures/model/`.

    python models/record_fixtures.py [--checkpoint ../shared/model] [--output test/fixtures/model]

`stages.json` holds every tensor between the stages for a few inputs, `trajectory.json` whole unaccelerated generations under the
schedulers of diffusers. Nothing here touches the exported ONNX files: they are what the fixtures judge.
"""

import argparse
import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

import avatar_network
from avatar_graph import SPANS

HERE = Path(__file__).parent
GUIDANCE = 3.0
CASES = [
    {"prompt": "a toon person with angry mouth, humble eyes, auburn undercut hair, purple dress, on a blue background", "level": 0.9, "seed": 1},
    {"prompt": "a kid with cheery eyes, wearing glasses", "level": 0.5, "seed": 2},
    {"prompt": "an orange robot", "level": 0.125, "seed": 3},
]
TRAJECTORY = {"prompt": "a teal robot with round eyes", "seed": 7, "steps": 12, "guidance_scale": GUIDANCE}

Denoise = Callable[[Tensor, Tensor], Tensor]  # network input, level → guided clean sample


class Avatar:
    """The network with its tokenizer and guidance."""

    def __init__(self, checkpoint: Path) -> None:
        vocabulary = json.loads((checkpoint / "vocab.json").read_text())
        self.text = json.loads((HERE / "avatar/plan.json").read_text())["text"]
        self.index = {word: at for at, word in enumerate(vocabulary)}
        self.network = avatar_network.load(checkpoint / "avatar.safetensors", len(vocabulary))

    def ids(self, prompt: str) -> list[int]:
        words = re.findall(self.text["pattern"], prompt.lower())
        ids = [self.index.get(self.text["aliases"].get(word, word), self.text["unknown"]) for word in words]
        return self.padded(ids)

    def padded(self, ids: list[int]) -> list[int]:
        ids = ids[: self.text["length"]]
        return ids + [self.text["pad"]] * (self.text["length"] - len(ids))

    def pair(self, prompt: str) -> Tensor:
        """Ids of the prompt and of no prompt."""
        return torch.tensor([self.ids(prompt), self.padded(self.text["unconditional"])])

    def denoiser(self, prompt: str) -> Denoise:
        text = self.network.text(self.pair(prompt))

        def denoise(sample: Tensor, level: Tensor) -> Tensor:
            return guided(self.network(sample.expand(2, -1, -1, -1), level.expand(2), text))

        return denoise


def guided(denoised: Tensor) -> Tensor:
    conditional, unconditional = denoised.chunk(2)
    return unconditional + GUIDANCE * (conditional - unconditional)


def noise(seed: int) -> Tensor:
    return torch.randn(1, 3, 64, 64, generator=torch.Generator("cpu").manual_seed(seed))


def encoded(values: Tensor) -> str:
    return base64.b64encode(values.flatten().numpy().astype("<f4").tobytes()).decode()


def excerpt(values: Tensor, count: int = 160) -> dict[str, object]:
    """Every `stride`-th value in memory order (odd, so that it wanders over the channels), and the moments of all."""
    stride = max(1, values.numel() // count) | 1
    wide = values.double()
    moments = {"mean": wide.mean().item(), "std": wide.std(correction=0).item()}
    return {"shape": list(values.shape), **moments, "stride": stride, "values": encoded(values.flatten()[::stride])}


def record_case(avatar: Avatar, case: dict) -> dict[str, object]:
    """All stages for two rows: the prompt and no prompt, on the same noise."""
    network = avatar.network
    ids = avatar.pair(case["prompt"])
    text = network.text(ids)
    contexts = [block.ckv(text) for block in network.blocks]
    sample = noise(case["seed"]).expand(2, -1, -1, -1)
    level = torch.full((2,), case["level"])

    made = {"sample": sample, "pooled": text.mean(1)}
    for stage, blocks in SPANS.items():
        made[f"context_{stage}"] = torch.stack([contexts[k] for k in blocks], 1).squeeze(1)
    made["hidden_0"], made["skip"], made["embedding"] = network.embed(sample, level, made["pooled"])

    def through_blocks(tokens: Tensor) -> dict[str, Tensor]:
        hidden = {}
        for at, blocks in enumerate(SPANS.values()):
            for k in blocks:
                tokens = network.blocks[k](tokens, made["embedding"], contexts[k])
            hidden[f"hidden_{at + 1}"] = tokens
        return hidden

    kept = list(range(0, 64, 2))
    pruned = through_blocks(made["hidden_0"][:, kept])
    made.update(through_blocks(made["hidden_0"]))
    made["denoised"] = network.head(made["hidden_3"], made["skip"], made["embedding"])
    return {
        **case,
        "ids": ids.tolist(),
        "tensors": {name: excerpt(value) for name, value in made.items()},
        "guided": {"guidance_scale": GUIDANCE, **excerpt(guided(made["denoised"]), 1024)},
        "pruned": {"kept": kept, "tensors": {name: excerpt(value) for name, value in pruned.items()}},
    }


def flow_euler(config: dict, steps: int, start: Tensor, denoise: Denoise) -> list[Tensor]:
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(config)
    scheduler.set_timesteps(steps)
    states = [start]
    for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas):
        velocity = (states[-1] - denoise(states[-1], sigma)) / sigma
        states.append(scheduler.step(velocity, timestep, states[-1]).prev_sample)
    return states


def dpm(config: dict, steps: int, start: Tensor, denoise: Denoise) -> list[Tensor]:
    """The state is αx0 + σn; the scheduler's sigmas are σ/α."""
    scheduler = DPMSolverMultistepScheduler.from_config(config)
    scheduler.set_timesteps(steps)
    states = [start * scheduler.init_noise_sigma]
    for timestep, ratio in zip(scheduler.timesteps, scheduler.sigmas):
        alpha = (1 + ratio**2) ** -0.5
        denoised = denoise(states[-1] / (alpha * (1 + ratio)), ratio / (1 + ratio))
        states.append(scheduler.step(denoised, timestep, states[-1]).prev_sample)
    return states


def euler(config: dict, steps: int, start: Tensor, denoise: Denoise) -> list[Tensor]:
    """The state is x0 + (σ/α)n."""
    scheduler = EulerDiscreteScheduler.from_config(config)
    scheduler.set_timesteps(steps)
    states = [start * scheduler.init_noise_sigma]
    for timestep, ratio in zip(scheduler.timesteps, scheduler.sigmas):
        scheduler.scale_model_input(states[-1], timestep)  # only because the scheduler insists; the network has its own scaling
        denoised = denoise(states[-1] / (1 + ratio), ratio / (1 + ratio))
        states.append(scheduler.step(denoised, timestep, states[-1]).prev_sample)
    return states


SAMPLERS = {"FlowMatchEulerDiscreteScheduler": flow_euler, "DPMSolverMultistepScheduler": dpm, "EulerDiscreteScheduler": euler}


def record_trajectories(avatar: Avatar) -> dict[str, object]:
    schedulers = json.loads((HERE / "avatar/plan.json").read_text())["schedulers"]
    denoise = avatar.denoiser(TRAJECTORY["prompt"])
    runs = {}
    for name, config in schedulers.items():
        states = SAMPLERS[config["_class_name"]](config, TRAJECTORY["steps"], noise(TRAJECTORY["seed"]), denoise)
        runs[name] = {"states": [excerpt(state, 32) for state in states], "latents": encoded(states[-1])}
    return {**TRAJECTORY, "shape": [1, 3, 64, 64], "schedulers": runs}


def versions() -> dict[str, str]:
    import diffusers

    return {"torch": torch.__version__, "diffusers": diffusers.__version__, "numpy": np.__version__}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=HERE.parent / "../shared/model", help="folder with avatar.safetensors and vocab.json")
    parser.add_argument("--output", type=Path, default=HERE.parent / "test/fixtures/model")
    options = parser.parse_args()
    torch.set_num_threads(1)  # one order of summation, whatever the machine

    avatar = Avatar(options.checkpoint)
    with torch.no_grad():
        recorded = {
            "stages.json": {"cases": [record_case(avatar, case) for case in CASES]},
            "trajectory.json": record_trajectories(avatar),
        }
    options.output.mkdir(parents=True, exist_ok=True)
    for name, content in recorded.items():
        text = json.dumps({"recorded_with": versions(), **content}, indent=1)
        # Lists of numbers on one line.
        text = re.sub(r"\[\s+([\d.,\s-]+?)\s+\]", lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]", text)
        (options.output / name).write_text(text + "\n")
        print(f"{name:16} {len(text):9,} bytes")


if __name__ == "__main__":
    main()
