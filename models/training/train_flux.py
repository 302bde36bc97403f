"""Trains a small transformer of Flux's classes on the same pictures, to measure policies on: double and single blocks, rotary
positions, packed latents, flow matching and, as in Flux dev, guidance distilled into the network.

    node models/training/render.mjs 60000 data
    python models/training/train_flux.py data --autoencoder-minutes 10 --minutes 60 --distillation-minutes 20
    cd models && python -m export ../data/flux -o ../flux

Writes a folder of diffusers (FluxPipeline). First the network learns the flow; then what it says with classifier-free guidance is
taught to a copy that is told the scale. A training that was stopped goes on from its last checkpoint.
"""

import copy
import math
import sys
from collections import Counter
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from sentencepiece import sentencepiece_model_pb2
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel

sys.path.insert(0, str(Path(__file__).parent.parent))
from export.parts import flux_positions  # noqa: E402
from export.tiny import unigram, write_t5_tokenizer  # noqa: E402
from training.latent import LATENTS, LENGTH, WIDTH, Latents, clip_encoder, clip_tokenizer, ids_of, options_of, train  # noqa: E402

GUIDANCE = (1.0, 9.0)  # scales that are distilled
LOGIT_SIGMA = (0.2, 1.0)  # mean and deviation in training


def transformer() -> FluxTransformer2DModel:
    net = FluxTransformer2DModel(
        patch_size=1, in_channels=4 * LATENTS, num_layers=3, num_single_layers=6, attention_head_dim=32, num_attention_heads=4,
        joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, guidance_embeds=True, axes_dims_rope=(8, 12, 12),
    )  # fmt: skip
    # Blocks that start as nothing (Peebles and Xie, 2023).
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Linear) and ("norm" in name or name == "proj_out"):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    return net


def packed(latents: Tensor) -> Tensor:
    rows, channels, height, width = latents.shape
    return FluxPipeline._pack_latents(latents, rows, channels, height, width)


def pieces_of(prompts: list[str]) -> bytes:
    """A spiece.model in which each word of the prompts is one piece; alone, few words have too few parts in common to become pieces."""
    model = sentencepiece_model_pb2.ModelProto.FromString(unigram(prompts[:1000]))
    counts = Counter(word for prompt in prompts for word in prompt.replace(",", " ").split())
    present = {piece.piece for piece in model.pieces}
    for word, count in sorted(counts.items()):
        if (piece := "▁" + word) not in present:
            model.pieces.add(piece=piece, score=math.log(count / counts.total()))
    return model.SerializeToString()


class Denoiser(nn.Module):
    """What is trained together: the network and the encoders of its prompts."""

    def __init__(self, clip_words: int, t5_words: int) -> None:
        super().__init__()
        self.transformer = transformer()
        self.clip = clip_encoder(clip_words)
        self.t5 = T5EncoderModel(T5Config(
            vocab_size=t5_words, d_model=WIDTH, d_kv=16, d_ff=2 * WIDTH, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
            dropout_rate=0.0, tie_word_embeddings=False,
        ))  # fmt: skip

    def forward(self, sample: Tensor, sigma: Tensor, guidance: Tensor, clip_ids: Tensor, t5_ids: Tensor) -> Tensor:
        side = int(sample.shape[1] ** 0.5)
        return self.transformer(
            hidden_states=sample, timestep=sigma, guidance=guidance,
            pooled_projections=self.clip(clip_ids).pooler_output, encoder_hidden_states=self.t5(t5_ids).last_hidden_state,
            img_ids=flux_positions(side, side), txt_ids=torch.zeros(LENGTH, 3),
        ).sample  # fmt: skip


def noisy(latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A sample on the way to noise, its sigma, and its velocity."""
    mean, deviation = LOGIT_SIGMA
    sigma = (torch.randn(len(latents)) * deviation + mean).sigmoid()
    noise = torch.randn_like(latents)
    share = sigma[:, None, None]
    return (1 - share) * latents + share * noise, sigma, noise - latents


def flow_loss(network: Denoiser, latents: Tensor, ids: tuple[Tensor, Tensor]) -> Tensor:
    sample, sigma, velocity = noisy(latents)
    return (network(sample, sigma, torch.ones_like(sigma), *ids) - velocity).square().mean()


def distillation_loss(network: Denoiser, teacher: Denoiser, latents: Tensor, ids: tuple[Tensor, Tensor], empty: tuple[Tensor, Tensor]) -> Tensor:
    """Distance to classifier-free guidance of the teacher, at scales drawn evenly (Meng et al., 2023)."""
    sample, sigma, _ = noisy(latents)
    low, high = GUIDANCE
    scale = low + (high - low) * torch.rand(len(latents))
    with torch.no_grad():
        none = [one.expand(len(latents), -1) for one in empty]
        without, given = (teacher(sample, sigma, torch.ones_like(sigma), *texts) for texts in (none, ids))
        guided = without + scale[:, None, None] * (given - without)
    return (network(sample, sigma, scale, *ids) - guided).square().mean()


def main() -> None:
    options = options_of(__doc__, "flux", "autoencoder-minutes", "minutes", "distillation-minutes")

    data, out = Latents.prepared(options.folder, options.autoencoder_minutes), options.folder / "flux"
    data.autoencoder.register_to_config(shift_factor=0.0)
    clip, t5 = clip_tokenizer(data.prompts, out / "tokenizer"), write_t5_tokenizer(out / "tokenizer_2", pieces_of(data.prompts), LENGTH)

    def read(prompts: list[str]) -> tuple[Tensor, Tensor]:
        return ids_of(clip, prompts), ids_of(t5, prompts)

    def batch() -> tuple[Tensor, tuple[Tensor, Tensor]]:
        latents, prompts = data.batch(data.chosen())
        return packed(latents), read(prompts)

    network, empty = Denoiser(len(clip), len(t5)), read([""])
    print(f"{sum(value.numel() for value in network.parameters()) / 1e6:.1f} million parameters", flush=True)
    teacher = train(network, lambda net: flow_loss(net, *batch()), 1e-3, options.minutes, options.folder / "flux.pt")
    student = copy.deepcopy(teacher).train().requires_grad_(True)
    guided = train(student, lambda net: distillation_loss(net, teacher, *batch(), empty), 3e-4, options.distillation_minutes, options.folder / "flux-guided.pt")
    shift = {"use_dynamic_shifting": True, "shift": 3.0, "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096}
    FluxPipeline(
        vae=data.autoencoder, text_encoder=guided.clip, text_encoder_2=guided.t5, tokenizer=clip, tokenizer_2=t5, transformer=guided.transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, **shift),
    ).save_pretrained(out)  # fmt: skip


if __name__ == "__main__":
    main()
