"""Trains the bundled network on rendered pictures.

    node models/training/render.mjs 60000 data
    python models/training/train.py data --stage full --minutes 100
    python models/training/train.py data --stage varied --minutes 105 --start data/full.safetensors

Two stages. `full` learns to draw what a complete prompt says. `varied` continues with attributes left out and reordered, so that
short prompts work too. The network predicts the clean picture x0 from (1 − σ)·x0 + σ·noise; weights are averaged over time.
"""

import argparse
import copy
import json
import math
import random
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))
import avatar_network  # noqa: E402
from avatar_network import TEXT_LENGTH, Network  # noqa: E402

HELD_OUT = 500  # the first pictures
BATCH = 64
UNCONDITIONAL = 0.1  # how often the prompt is dropped, for classifier-free guidance
PAD, UNKNOWN, NULL = 0, 1, 2


@dataclass(frozen=True)
class Stage:
    rate: Callable[[int, float], float]  # step, share of the time that is over → learning rate
    noise: tuple[float, float]  # mean and deviation of logit σ
    average: float  # decay of the averaged weights
    vary: bool
    dtype: torch.dtype
    seed: int


STAGES = {
    "full": Stage(
        rate=lambda step, over: 1e-3 * min(1, step / 300) * (1 if over < 0.5 else (1 - over) / 0.5 + 0.01),
        noise=(0.2, 1.0), average=0.9985, vary=False, dtype=torch.bfloat16, seed=0,
    ),
    "varied": Stage(
        rate=lambda step, over: 5e-4 * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * over)),
        noise=(0.1, 1.1), average=0.998, vary=True, dtype=torch.float32, seed=1,
    ),
}


class Data:
    """Pictures in [-1, 1] and their prompts as ids; every picture once before any twice."""

    def __init__(self, folder: Path, vary: bool) -> None:
        self.prompts = json.loads((folder / "prompts.json").read_text())
        pictures = np.fromfile(folder / "pictures.bin", dtype=np.uint8).reshape(-1, 64, 64, 3)
        self.pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2)
        self.vocabulary = ["<pad>", "<unk>", "<null>", *sorted({word for prompt in self.prompts for word in split(prompt)})]
        self.index = {word: at for at, word in enumerate(self.vocabulary)}
        self.vary = vary
        self.left = torch.empty(0, dtype=torch.long)

    def batch(self) -> tuple[Tensor, Tensor]:
        if len(self.left) < BATCH:
            self.left = torch.randperm(len(self.pictures) - HELD_OUT) + HELD_OUT
        chosen, self.left = self.left[:BATCH], self.left[BATCH:]
        prompts = [self.prompts[k] for k in chosen.tolist()]
        ids = torch.tensor([self.ids(varied(prompt) if self.vary else prompt) for prompt in prompts])
        dropped = torch.rand(BATCH) < UNCONDITIONAL
        ids[dropped] = torch.tensor([NULL] + [PAD] * (TEXT_LENGTH - 1))
        return self.pictures[chosen].float() / 127.5 - 1, ids

    def ids(self, prompt: str) -> list[int]:
        ids = [self.index.get(word, UNKNOWN) for word in split(prompt)][:TEXT_LENGTH]
        return ids + [PAD] * (TEXT_LENGTH - len(ids))


def split(prompt: str) -> list[str]:
    return re.findall(r"[a-z]+|,", prompt.lower())


def varied(prompt: str) -> str:
    """Half of the time the prompt as it is; else each attribute stays with one random chance, in half of those in a new order."""
    if random.random() < 0.5:
        return prompt
    subject, rest = prompt.split(" with ", 1)
    *attributes, background = rest.split(", ")
    chance = random.random()
    attributes = [one for one in attributes if random.random() < chance]
    if random.random() < 0.5:
        random.shuffle(attributes)
    worn = [one for one in attributes if one.startswith("wearing")]
    plain = [one for one in attributes if not one.startswith("wearing")]
    if random.random() < 0.3 + 0.7 * chance:
        worn.append(background)
    out = f"{subject} with {', '.join(plain)}" if plain else subject
    for k, one in enumerate(worn):
        out += (", " if plain or k > 0 else " ") + one
    return out


def loss_of(network: Network, stage: Stage, x0: Tensor, ids: Tensor) -> Tensor:
    mean, deviation = stage.noise
    level = (torch.randn(len(x0)) * deviation + mean).sigmoid()
    sigma = level[:, None, None, None]
    sample = (1 - sigma) * x0 + sigma * torch.randn_like(x0)
    with torch.autocast("cpu", torch.bfloat16, enabled=stage.dtype == torch.bfloat16):
        predicted = network(sample, level, network.text(ids)).float()
    return ((predicted - x0) ** 2 / sigma.clamp(min=0.1) ** 2).mean()


def train(network: Network, data: Data, stage: Stage, minutes: float, path: Path) -> None:
    network.requires_grad_(True).train()
    averaged = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    start, step, recent = time.monotonic(), 0, 0.0
    while (over := (time.monotonic() - start) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = stage.rate(step, over)
        loss = loss_of(network, stage, *data.batch())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        decay = min(stage.average, step / (step + 9))
        with torch.no_grad():
            for kept, now in zip(averaged.parameters(), network.parameters()):
                kept.lerp_(now, 1 - decay)
        recent = 0.98 * recent + 0.02 * loss.item()
        if step % 50 == 0:
            print(f"step {step}, {over:4.0%}, loss {recent / (1 - 0.98**step):.5f}", flush=True)
    save_file({name: value.half().contiguous() for name, value in averaged.state_dict().items()}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where render.mjs wrote; weights and vocabulary go there too")
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--start", type=Path, help="checkpoint to continue from")
    options = parser.parse_args()

    stage = STAGES[options.stage]
    torch.manual_seed(stage.seed)
    random.seed(stage.seed)
    data = Data(options.folder, stage.vary)
    words = len(data.vocabulary)
    network = avatar_network.load(options.start, words) if options.start else Network(words)
    (options.folder / "vocab.json").write_text(json.dumps(data.vocabulary) + "\n")
    train(network, data, stage, options.minutes, options.folder / f"{options.stage}.safetensors")


if __name__ == "__main__":
    main()
