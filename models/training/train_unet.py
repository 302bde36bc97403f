"""Trains a small latent U-Net of Stable Diffusion's classes on the same pictures, to measure policies on: it predicts noise, has skip
connections and an autoencoder, none of which the bundled network has.

    node models/training/render.mjs 60000 data
    python models/training/train_unet.py data --autoencoder-minutes 10 --minutes 75
    cd models && python -m export ../data/unet -o ../unet

Writes a folder of diffusers (StableDiffusionPipeline). A training that was stopped goes on from its last checkpoint.
"""

import argparse
import copy
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

sys.path.insert(0, str(Path(__file__).parent.parent))
from export.tiny import SD_NOISE, bytes_as_characters, write_clip_tokenizer  # noqa: E402
from training.train import BATCH, HELD_OUT, UNCONDITIONAL, Data, varied  # noqa: E402

LENGTH = 48  # tokens of a prompt
WIDTH = 64  # of its embeddings
LATENTS = 8
SNR_LIMIT = 5.0  # min-SNR weighting (Hang et al., 2023)
AVERAGE = 0.998  # decay of the averaged weights
SAVED_EVERY = 500  # steps


def minutes_of(limit: float, done: float = 0.0) -> Iterator[float]:
    """Shares of the time that are over, until it is; `done`: minutes of it that an earlier process used."""
    start = time.monotonic() - 60 * done
    while (over := (time.monotonic() - start) / (60 * limit)) < 1:
        yield over


def cosine(rate: float, warmup: int) -> Callable[[int, float], float]:
    return lambda step, over: rate * min(1, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * over))


def autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        latent_channels=LATENTS, block_out_channels=(16, 32, 48), layers_per_block=1, norm_num_groups=8, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, mid_block_add_attention=False,
    )


def train_autoencoder(data: Data, minutes: float) -> AutoencoderKL:
    kl = autoencoder().train()
    optimizer = torch.optim.AdamW(kl.parameters(), weight_decay=0.0)
    rate = cosine(2e-3, 50)
    for step, over in enumerate(minutes_of(minutes)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, over)
        pictures = data.batch()[0][:32]
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
def encoded(kl: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Means of the latents of all pictures, with a deviation of 1; sets the autoencoder's scaling factor."""
    parts = [kl.encode(part.float() / 127.5 - 1).latent_dist.mean for part in pictures.split(256)]
    latents = torch.cat(parts)
    kl.register_to_config(scaling_factor=round(1 / latents.std().item(), 5))
    return latents * kl.config.scaling_factor


def tokenizer_of(prompts: list[str], folder: Path) -> CLIPTokenizer:
    """CLIP's kind of tokenizer, with merges learnt from the prompts, until each word is a token."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    trainer = trainers.BpeTrainer(vocab_size=4000, end_of_word_suffix="</w>", initial_alphabet=bytes_as_characters(), show_progress=False)
    bpe.train_from_iterator(prompts, trainer)
    merges = json.loads(bpe.to_str())["model"]["merges"]
    return write_clip_tokenizer(folder, pad="!", merges=[" ".join(pair) for pair in merges], length=LENGTH)


def text_encoder(words: int) -> CLIPTextModel:
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=words, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=LENGTH, hidden_act="gelu", projection_dim=WIDTH, bos_token_id=0, eos_token_id=2, pad_token_id=0,
    ))  # fmt: skip


def unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16, in_channels=LATENTS, out_channels=LATENTS, layers_per_block=2, block_out_channels=(32, 64, 96),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH, attention_head_dim=(2, 4, 6), use_linear_projection=True, norm_num_groups=16,
    )  # fmt: skip


class Denoiser(nn.Module):
    """What is trained together: the network and the encoder of its prompts."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.unet = unet()
        self.text = text_encoder(words)

    def forward(self, sample: Tensor, timestep: Tensor, ids: Tensor) -> Tensor:
        return self.unet(sample, timestep, self.text(ids).last_hidden_state).sample


def loss_of(network: Denoiser, alphas: Tensor, latents: Tensor, ids: Tensor) -> Tensor:
    timestep = torch.randint(0, len(alphas), (len(latents),))
    kept = alphas[timestep][:, None, None, None]
    noise = torch.randn_like(latents)
    error = network(kept.sqrt() * latents + (1 - kept).sqrt() * noise, timestep, ids) - noise
    snr = alphas[timestep] / (1 - alphas[timestep])
    return (error.square().mean(dim=(1, 2, 3)) * (snr.clamp(max=SNR_LIMIT) / snr)).mean()


def train(network: Denoiser, batch: Callable[[], tuple[Tensor, Tensor]], minutes: float, path: Path) -> Denoiser:
    """Returns the averaged network."""
    averaged = copy.deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    alphas = DPMSolverMultistepScheduler(**SD_NOISE).alphas_cumprod
    rate, first, done, recent = cosine(1e-3, 300), 0, 0.0, 0.0
    if path.exists():
        saved = torch.load(path)
        for target, name in ((network, "network"), (averaged, "averaged"), (optimizer, "optimizer")):
            target.load_state_dict(saved[name])
        first, done = saved["step"], saved["minutes"]
    for step, over in enumerate(minutes_of(minutes, done), first):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, over)
        loss = loss_of(network, alphas, *batch())
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where render.mjs wrote; the pipeline goes to its subfolder unet")
    parser.add_argument("--autoencoder-minutes", type=float, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    options = parser.parse_args()
    torch.manual_seed(0)
    random.seed(0)

    data, out = Data(options.folder, vary=False), options.folder / "unet"
    if (out / "vae").exists():
        kl = AutoencoderKL.from_pretrained(out / "vae")
    else:
        kl = train_autoencoder(data, options.autoencoder_minutes)
        latents = encoded(kl, data.pictures)
        kl.save_pretrained(out / "vae")
        torch.save(latents, options.folder / "latents.pt")
    latents = torch.load(options.folder / "latents.pt")
    tokenizer = tokenizer_of(data.prompts, out / "tokenizer")

    def batch() -> tuple[Tensor, Tensor]:
        chosen = torch.randint(HELD_OUT, len(latents), (BATCH,))
        prompts = ["" if random.random() < UNCONDITIONAL else varied(data.prompts[k]) for k in chosen.tolist()]
        ids = tokenizer(prompts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids
        return latents[chosen], ids

    network = Denoiser(len(tokenizer))
    print(f"{sum(value.numel() for value in network.parameters()) / 1e6:.1f} million parameters", flush=True)
    averaged = train(network, batch, options.minutes, options.folder / "unet.pt")
    scheduler = DPMSolverMultistepScheduler(**SD_NOISE)
    parts = {"vae": kl, "text_encoder": averaged.text, "tokenizer": tokenizer, "unet": averaged.unet, "scheduler": scheduler}
    StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False).save_pretrained(out)


if __name__ == "__main__":
    main()
