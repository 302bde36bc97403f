"""Trains a small latent U-Net of Stable Diffusion's classes on the same pictures, to measure policies on: it predicts noise, has skip
connections and an autoencoder, none of which the bundled network has.

    node models/training/render.mjs 60000 data
    python models/training/train_unet.py data --autoencoder-minutes 10 --minutes 75
    cd models && python -m export ../data/unet -o ../unet

Writes a folder of diffusers (StableDiffusionPipeline). A training that was stopped goes on from its last checkpoint.
"""

import sys
from pathlib import Path

from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from export.tiny import SD_NOISE  # noqa: E402
from training.latent import LATENTS, WIDTH, Latents, clip_encoder, clip_tokenizer, ids_of, noise_loss, options_of, train  # noqa: E402


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
        self.text = clip_encoder(words)

    def forward(self, sample: Tensor, timestep: Tensor, ids: Tensor) -> Tensor:
        return self.unet(sample, timestep, self.text(ids).last_hidden_state).sample


def main() -> None:
    options = options_of(__doc__, "unet", "autoencoder-minutes", "minutes")

    data, out = Latents.prepared(options.folder, options.autoencoder_minutes), options.folder / "unet"
    tokenizer = clip_tokenizer(data.prompts, out / "tokenizer")
    alphas = DPMSolverMultistepScheduler(**SD_NOISE).alphas_cumprod

    def loss(network: Denoiser) -> Tensor:
        latents, prompts = data.batch(data.chosen())
        return noise_loss(network, alphas, latents, ids_of(tokenizer, prompts))

    network = Denoiser(len(tokenizer))
    print(f"{sum(value.numel() for value in network.parameters()) / 1e6:.1f} million parameters", flush=True)
    averaged = train(network, loss, 1e-3, options.minutes, options.folder / "unet.pt")
    scheduler = DPMSolverMultistepScheduler(**SD_NOISE)
    parts = {"vae": data.autoencoder, "text_encoder": averaged.text, "tokenizer": tokenizer, "unet": averaged.unet, "scheduler": scheduler}
    StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False).save_pretrained(out)


if __name__ == "__main__":
    main()
