"""Trains a small latent U-Net of Stable Diffusion XL's classes on the same pictures, to measure policies on: two text encoders side by
side, pooled text and sizes beside the time, and no attention at full resolution.

    node models/training/render.mjs 60000 data
    python models/training/train_sdxl.py data --autoencoder-minutes 10 --minutes 60
    cd models && python -m export ../data/sdxl -o ../sdxl

Writes a folder of diffusers (StableDiffusionXLPipeline). A training that was stopped goes on from its last checkpoint.
"""

import sys
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModelWithProjection

sys.path.insert(0, str(Path(__file__).parent.parent))
from export.tiny import SD_NOISE  # noqa: E402
from training.latent import LATENTS, WIDTH, Latents, clip_encoder, clip_tokenizer, ids_of, noise_loss, options_of, train  # noqa: E402

SIDE = 64  # pixels of a picture
TIME_WIDTH = 16  # features of each size


def unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16, in_channels=LATENTS, out_channels=LATENTS, layers_per_block=2, block_out_channels=(32, 64, 96),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2), cross_attention_dim=2 * WIDTH, attention_head_dim=(2, 4, 6),
        use_linear_projection=True, norm_num_groups=16, addition_embed_type="text_time", addition_time_embed_dim=TIME_WIDTH,
        projection_class_embeddings_input_dim=WIDTH + 6 * TIME_WIDTH,
    )  # fmt: skip


class Denoiser(nn.Module):
    """What is trained together: the network and the encoders of its prompts."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.unet = unet()
        self.text = clip_encoder(words)
        self.pooled_text = CLIPTextModelWithProjection(self.text.config)

    def forward(self, sample: Tensor, timestep: Tensor, prompts: tuple[Tensor, Tensor]) -> Tensor:
        ids, given = prompts
        first = self.text(ids, output_hidden_states=True).hidden_states[-2]
        second = self.pooled_text(ids, output_hidden_states=True)
        # An empty prompt is zeros, as the pipeline has it (force_zeros_for_empty_prompt).
        states = torch.cat([first, second.hidden_states[-2]], dim=-1) * given[:, None, None]
        sizes = torch.tensor([SIDE, SIDE, 0, 0, SIDE, SIDE]).expand(len(ids), -1)
        conditions = {"text_embeds": second.text_embeds * given[:, None], "time_ids": sizes}
        return self.unet(sample, timestep, states, added_cond_kwargs=conditions).sample


def main() -> None:
    options = options_of(__doc__, "sdxl", "autoencoder-minutes", "minutes")

    data, out = Latents.prepared(options.folder, options.autoencoder_minutes), options.folder / "sdxl"
    tokenizer = clip_tokenizer(data.prompts, out / "tokenizer")
    alphas = DPMSolverMultistepScheduler(**SD_NOISE).alphas_cumprod

    def loss(network: Denoiser) -> Tensor:
        latents, prompts = data.batch(data.chosen())
        given = torch.tensor([float(prompt != "") for prompt in prompts])
        return noise_loss(network, alphas, latents, (ids_of(tokenizer, prompts), given))

    network = Denoiser(len(tokenizer))
    print(f"{sum(value.numel() for value in network.parameters()) / 1e6:.1f} million parameters", flush=True)
    averaged = train(network, loss, 1e-3, options.minutes, options.folder / "sdxl.pt")
    StableDiffusionXLPipeline(
        vae=data.autoencoder, text_encoder=averaged.text, text_encoder_2=averaged.pooled_text, tokenizer=tokenizer, tokenizer_2=tokenizer,
        unet=averaged.unet, scheduler=EulerDiscreteScheduler(**SD_NOISE, timestep_spacing="leading"), add_watermarker=False,
    ).save_pretrained(out)  # fmt: skip


if __name__ == "__main__":
    main()
