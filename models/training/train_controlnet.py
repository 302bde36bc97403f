"""Trains a ControlNet on the edges of the same pictures, for the U-Net that train_unet.py made.

    python models/training/train_controlnet.py data --minutes 45
    cd models && python -m export ../data/unet -o ../unet-edges --controlnet ../data/controlnet

Reads data/unet and what it was trained on; writes data/controlnet, and into data/edges the edges of pictures that were held out of
training, one for each of the first prompts of the bundled model's prompts.json, kinds taking turns as `sada-bench` has them. A
training that was stopped goes on from its last checkpoint.
"""

import json
import re
import sys
from pathlib import Path

import torch
from diffusers import ControlNetModel, DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from export.tiny import SD_NOISE  # noqa: E402
from training.latent import Latents, ids_of, noise_loss, options_of, train  # noqa: E402
from training.train import HELD_OUT, Data  # noqa: E402

EDGES = 32  # how many are written
STEEP = 0.12  # change of brightness over two pixels, of 1, from which on there is an edge
EMBEDDING = (16, 32, 64)  # channels; as many halvings as the autoencoder's


def edges_of(pictures: Tensor) -> Tensor:
    """uint8 [n, 3, height, width] → white on black, 0 or 1, of the same shape."""
    grey = nn.functional.pad(pictures.float().mean(dim=1) / 255, (1, 1, 1, 1), mode="replicate")
    across, down = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2], grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    return (torch.hypot(across, down) > STEEP).float()[:, None].expand(-1, 3, -1, -1)


class Controlled(nn.Module):
    """The ControlNet, and the finished network it steers."""

    def __init__(self, pipeline: StableDiffusionPipeline) -> None:
        super().__init__()
        self.unet = pipeline.unet.requires_grad_(False)
        self.text = pipeline.text_encoder.requires_grad_(False)
        self.net = ControlNetModel.from_unet(self.unet, conditioning_embedding_out_channels=EMBEDDING)

    def forward(self, sample: Tensor, timestep: Tensor, ids: Tensor, edges: Tensor) -> Tensor:
        states = self.text(ids).last_hidden_state
        down, middle = self.net(sample, timestep, states, edges, return_dict=False)
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return self.unet(sample, timestep, states, **residuals).sample


def held_out_like(prompt: str, prompts: list[str], taken: set[int]) -> int:
    """The first picture that nothing took of which the prompt is true; failing that, one of its kind."""
    parts = re.split(r" with |, | (?=on a |wearing )", prompt)
    free = [k for k in range(HELD_OUT) if k not in taken]
    fits = [k for k in free if all(part in prompts[k] for part in parts)]
    kind = parts[0].split(" ")[-1]
    return (fits or [k for k in free if kind in prompts[k].split(" with ")[0]])[0]


def write_edges(data: Data, prompts: dict[str, list[str]], out: Path) -> None:
    out.mkdir(exist_ok=True)
    kinds = list(prompts.values())
    asked = [kinds[k % len(kinds)][k // len(kinds)] for k in range(EDGES)]
    own = {prompt: k for k, prompt in enumerate(data.prompts[:HELD_OUT]) if prompt in asked}
    taken = set(own.values())
    for k, prompt in enumerate(asked):
        chosen = own[prompt] if prompt in own else held_out_like(prompt, data.prompts, taken)
        taken.add(chosen)
        edges = edges_of(data.pictures[chosen : chosen + 1])[0].permute(1, 2, 0)
        Image.fromarray((255 * edges).byte().numpy()).save(out / f"{k:02}.png")


def main() -> None:
    options = options_of(__doc__, "controlnet", "minutes")

    pictures = Data(options.folder, vary=False)
    data = Latents.prepared(options.folder, 0)
    prompts = json.loads((Path(__file__).parent.parent / "avatar" / "prompts.json").read_text())
    write_edges(pictures, prompts, options.folder / "edges")
    pipeline = StableDiffusionPipeline.from_pretrained(options.folder / "unet", safety_checker=None)
    alphas = DPMSolverMultistepScheduler(**SD_NOISE).alphas_cumprod

    def loss(network: Controlled) -> Tensor:
        chosen = data.chosen()
        latents, texts = data.batch(chosen)
        edges = edges_of(pictures.pictures[chosen])
        steered = lambda sample, timestep, ids: network(sample, timestep, ids, edges)  # noqa: E731
        return noise_loss(steered, alphas, latents, ids_of(pipeline.tokenizer, texts))

    network = Controlled(pipeline)
    print(f"{sum(value.numel() for value in network.net.parameters()) / 1e6:.1f} million parameters", flush=True)
    averaged = train(network, loss, 1e-3, options.minutes, options.folder / "controlnet.pt")
    averaged.net.save_pretrained(options.folder / "controlnet")


if __name__ == "__main__":
    main()
