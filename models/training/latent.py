"""What the trainings of latent models share: the autoencoder, its latents, tokens of prompts, and a loop that goes on where it was stopped."""

import argparse
import copy
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, PreTrainedTokenizerBase

sys.path.insert(0, str(Path(__file__).parent.parent))
from export.tiny import bytes_as_characters, write_clip_tokenizer  # noqa: E402
from training.train import BATCH, HELD_OUT, UNCONDITIONAL, Data, varied  # noqa: E402

LENGTH = 48  # tokens of a prompt
WIDTH = 64  # of its embeddings
LATENTS = 8
AVERAGE = 0.998  # decay of the averaged weights
SAVED_EVERY = 500  # steps
SNR_LIMIT = 5.0  # min-SNR weighting (Hang et al., 2023)


def options_of(doc: str, name: str, *minutes: str) -> argparse.Namespace:
    """What the command line says: the folder, and how long each part of a training that `minutes` names takes. Sets the seeds, too."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("folder", type=Path, help=f"with the training's data; the model goes to its subfolder {name}")
    for each in minutes:
        parser.add_argument(f"--{each}", type=float, required=True)
    torch.manual_seed(0)
    random.seed(0)
    return parser.parse_args()


def minutes_of(limit: float, done: float = 0.0) -> Iterator[float]:
    """Shares of the time that are over, until it is; `done`: minutes of it that an earlier process used."""
    start = time.monotonic() - 60 * done
    while (over := (time.monotonic() - start) / (60 * limit)) < 1:
        yield over


def cosine(rate: float, warmup: int) -> Callable[[int, float], float]:
    return lambda step, over: rate * min(1, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * over))


def autoencoder(channels: int = 3) -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=channels, out_channels=channels, latent_channels=LATENTS, block_out_channels=(16, 32, 48), layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, mid_block_add_attention=False,
        norm_num_groups=8, sample_size=64,
    )  # fmt: skip


def train_autoencoder(kl: AutoencoderKL, batch: Callable[[], Tensor], minutes: float) -> AutoencoderKL:
    """On batches of pictures within about ±1."""
    kl.train()
    optimizer = torch.optim.AdamW(kl.parameters(), weight_decay=0.0)
    rate = cosine(2e-3, 50)
    for step, over in enumerate(minutes_of(minutes)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, over)
        pictures = batch()
        posterior = kl.encode(pictures).latent_dist
        error = kl.decode(posterior.sample()).sample - pictures
        loss = error.abs().mean() + 4 * error.square().mean() + 1e-5 * posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(kl.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"autoencoder: step {step}, {over:4.0%}, squared error {error.square().mean().item():.5f}", flush=True)
    return kl.eval()


@torch.no_grad()
def encoded(kl: AutoencoderKL, parts: Iterable[Tensor]) -> Tensor:
    """Means of the latents of all parts of the pictures, with a deviation of 1; sets the autoencoder's scaling factor."""
    latents = torch.cat([kl.encode(part).latent_dist.mean for part in parts])
    kl.register_to_config(scaling_factor=round(1 / latents.std().item(), 5))
    return latents * kl.config.scaling_factor


@dataclass(frozen=True)
class Latents:
    """The autoencoder, its latents of all pictures, and their prompts."""

    autoencoder: AutoencoderKL
    latents: Tensor
    prompts: list[str]

    @classmethod
    def prepared(cls, folder: Path, minutes: float) -> "Latents":
        """Trains the autoencoder, unless an earlier call on this folder did."""
        data, path, out = Data(folder, vary=False), folder / "latents.pt", folder / "autoencoder"
        if path.exists():
            return cls(AutoencoderKL.from_pretrained(out), torch.load(path), data.prompts)
        kl = train_autoencoder(autoencoder(), lambda: data.batch()[0][:32], minutes)
        latents = encoded(kl, (part.float() / 127.5 - 1 for part in data.pictures.split(256)))
        kl.save_pretrained(out)
        torch.save(latents, path)
        return cls(kl, latents, data.prompts)

    def chosen(self) -> Tensor:
        """Indices of a batch of pictures."""
        return torch.randint(HELD_OUT, len(self.latents), (BATCH,))

    def batch(self, chosen: Tensor) -> tuple[Tensor, list[str]]:
        """Latents and prompts, of which some are left out, for guidance."""
        return self.latents[chosen], ["" if random.random() < UNCONDITIONAL else varied(self.prompts[k]) for k in chosen.tolist()]


def clip_tokenizer(prompts: list[str], folder: Path) -> CLIPTokenizer:
    """CLIP's kind of tokenizer, with merges learnt from the prompts, until each word is a token."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    trainer = trainers.BpeTrainer(vocab_size=4000, end_of_word_suffix="</w>", initial_alphabet=bytes_as_characters(), show_progress=False)
    bpe.train_from_iterator(prompts, trainer)
    merges = json.loads(bpe.to_str())["model"]["merges"]
    return write_clip_tokenizer(folder, pad="!", merges=[" ".join(pair) for pair in merges], length=LENGTH)


def clip_encoder(words: int) -> CLIPTextModel:
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=words, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=LENGTH, hidden_act="gelu", projection_dim=WIDTH, bos_token_id=0, eos_token_id=2, pad_token_id=0,
    ))  # fmt: skip


def ids_of(tokenizer: PreTrainedTokenizerBase, prompts: list[str]) -> Tensor:
    return tokenizer(prompts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids


def noise_loss(network: nn.Module, alphas: Tensor, latents: Tensor, prompts: object) -> Tensor:
    """Of the noise that `network` finds in latents noised to random timesteps; `alphas`: cumulative products."""
    timestep = torch.randint(0, len(alphas), (len(latents),))
    kept = alphas[timestep][:, None, None, None]
    noise = torch.randn_like(latents)
    error = network(kept.sqrt() * latents + (1 - kept).sqrt() * noise, timestep, prompts) - noise
    snr = alphas[timestep] / (1 - alphas[timestep])
    return (error.square().mean(dim=(1, 2, 3)) * (snr.clamp(max=SNR_LIMIT) / snr)).mean()


def train(network: nn.Module, loss_of: Callable[[nn.Module], Tensor], rate: float, minutes: float, path: Path) -> nn.Module:
    """Returns the averaged network. `path`: the checkpoint, from which a training that was stopped goes on."""
    averaged = copy.deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    rates, first, done, recent = cosine(rate, 300), 0, 0.0, 0.0
    if path.exists():
        saved = torch.load(path)
        for target, name in ((network, "network"), (averaged, "averaged"), (optimizer, "optimizer")):
            target.load_state_dict(saved[name])
        first, done = saved["step"], saved["minutes"]
    for step, over in enumerate(minutes_of(minutes, done), first):
        for group in optimizer.param_groups:
            group["lr"] = rates(step, over)
        loss = loss_of(network)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            decay = min(AVERAGE, (step + 1) / (step + 10))
            for kept, now in zip(averaged.parameters(), network.parameters()):
                kept.lerp_(now, 1 - decay)
        recent = loss.item() if step == first else 0.98 * recent + 0.02 * loss.item()
        if step % 50 == 0:
            print(f"step {step}, {over:4.0%}, loss {recent:.5f}", flush=True)
        if step % SAVED_EVERY == SAVED_EVERY - 1:
            states = {"network": network.state_dict(), "averaged": averaged.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**states, "step": step + 1, "minutes": over * minutes}, path)
    return averaged
