"""Trains a small MusicLDM on made sounds, to measure policies on: latents of mel spectrograms, CLAP's vector of a text beside the time, a
vocoder.

    python models/training/sounds.py 16000 sounds
    python models/training/train_musicldm.py sounds --autoencoder-minutes 8 --vocoder-minutes 6 --text-minutes 2 --minutes 60
    cd models && python -m export ../sounds/musicldm -o ../musicldm

Writes a folder of diffusers (MusicLDMPipeline). CLAP's text encoder is taught what prompts say, then trained with the network, not beside
sounds; its half for sounds is random and never used. A training that was stopped goes on from its last checkpoint.
"""

import json
import random
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, MusicLDMPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig, RobertaTokenizer, SpeechT5HifiGan, SpeechT5HifiGanConfig

sys.path.insert(0, str(Path(__file__).parent.parent))
from export.parts import ClapText  # noqa: E402
from export.tiny import write_roberta_tokenizer  # noqa: E402
from training.latent import LATENTS, WIDTH, autoencoder, cosine, encoded, minutes_of, noise_loss, options_of, train, train_autoencoder  # noqa: E402
from training.sounds import BANDS, DRUMS, EFFECTS, FRAMES, HELD_OUT, HOP, INSTRUMENTS, MELODIES, RATE, REGISTERS, Spec, spectrogram  # noqa: E402
from training.train import BATCH, UNCONDITIONAL  # noqa: E402

NOISE = {"num_train_timesteps": 1000, "beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear", "steps_offset": 1}
LENGTH = WIDTH  # tokens of a prompt; diffusers' pipeline takes a vector's width for it
WINDOWS = (128, 512, 1024)  # of the spectra that the vocoder is trained on
CUT = 48  # frames of a sound that the vocoder is trained on at once


class Sounds:
    def __init__(self, folder: Path) -> None:
        self.waves = np.load(folder / "waves.npy", mmap_mode="r")
        self.mels = torch.from_numpy(np.load(folder / "mels.npy"))[:, None]
        self.specs = [Spec(**spec) for spec in json.loads((folder / "specs.json").read_text())]

    def chosen(self, count: int) -> Tensor:
        return torch.randint(HELD_OUT, len(self.specs), (count,))

    def spectrograms(self, count: int) -> Tensor:
        return self.mels[self.chosen(count)].float()

    def prompt(self, k: int) -> str:
        """Half of the time the full prompt; some are left out, for guidance."""
        if random.random() < UNCONDITIONAL:
            return ""
        return self.specs[k].prompt() if random.random() < 0.5 else self.specs[k].short(random)

    def cut(self, count: int) -> tuple[Tensor, Tensor]:
        """Sounds [count, samples], and their spectrograms [count, CUT, bands]."""
        chosen = self.chosen(count)
        first = random.randrange(FRAMES - CUT)
        waves = self.waves[chosen.numpy(), first * HOP : (first + CUT) * HOP].astype(np.float32) / 32767
        return torch.from_numpy(waves), self.mels[chosen, 0, first : first + CUT].float()


def vocoder() -> SpeechT5HifiGan:
    """The layers of the published one, with fewer channels."""
    network = SpeechT5HifiGan(SpeechT5HifiGanConfig(
        model_in_dim=BANDS, sampling_rate=RATE, upsample_initial_channel=128, upsample_rates=[5, 4, 2, 2, 2],
        upsample_kernel_sizes=[16, 16, 8, 4, 4], resblock_kernel_sizes=[3, 7], resblock_dilation_sizes=[[1, 3], [1, 3]], normalize_before=False,
    ))  # fmt: skip
    # Its own weights are so small at first that it is silent, and spectra of silence teach nothing.
    for layer in network.modules():
        if isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d)):
            layer.reset_parameters()
    return network


def spectra(waves: Tensor) -> list[Tensor]:
    windows = ((size, torch.hann_window(size)) for size in WINDOWS)
    return [torch.stft(waves, size, size // 4, window=window, return_complex=True).abs().clamp(min=1e-4).log() for size, window in windows]


def train_vocoder(sounds: Sounds, minutes: float) -> SpeechT5HifiGan:
    """On distances of spectra alone, without a discriminator: its sounds can be told apart and hum."""
    network = vocoder().train()
    optimizer = torch.optim.AdamW(network.parameters(), betas=(0.8, 0.99), weight_decay=0.0)
    rate = cosine(1e-3, 50)
    for step, over in enumerate(minutes_of(minutes)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, over)
        waves, mels = sounds.cut(8)
        made = network(mels)[:, : waves.shape[1]]
        distance = (spectrogram(made) - spectrogram(waves)).abs().mean()
        loss = 5 * distance + sum((a - b).abs().mean() for a, b in zip(spectra(made), spectra(waves)))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"vocoder: step {step}, {over:4.0%}, distance of spectrograms {distance.item():.4f}", flush=True)
    return network.eval()


def roberta_tokenizer(sounds: Sounds, folder: Path) -> RobertaTokenizer:
    """With merges learnt from the prompts, until each word is a token."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator([spec.prompt() for spec in sounds.specs], trainer)
    merges = json.loads(bpe.to_str())["model"]["merges"]
    return write_roberta_tokenizer(folder, LENGTH, [" ".join(pair) for pair in merges])


def unet() -> UNet2DConditionModel:
    channels = (32, 64, 96)
    return UNet2DConditionModel(
        sample_size=FRAMES // 4, in_channels=LATENTS, out_channels=LATENTS, layers_per_block=1, block_out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=channels, attention_head_dim=(2, 4, 6), norm_num_groups=16,
        class_embed_type="simple_projection", projection_class_embeddings_input_dim=WIDTH, class_embeddings_concat=True,
    )  # fmt: skip


def clap(words: int) -> ClapModel:
    text = ClapTextConfig(
        vocab_size=words, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=LENGTH + 2, projection_dim=WIDTH, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    sound = ClapAudioConfig(
        spec_size=32, num_mel_bins=8, hidden_size=16, depths=[1, 1], num_attention_heads=[1, 1], patch_embeds_hidden_size=8, window_size=2,
        projection_dim=WIDTH,
    )  # fmt: skip
    return ClapModel(ClapConfig(text_config=text.to_dict(), audio_config=sound.to_dict(), projection_dim=WIDTH))


# What prompts are made of.
PHRASES = [*INSTRUMENTS, *(f" {each} " for each in REGISTERS), *MELODIES, *filter(None, EFFECTS), *DRUMS]


def train_text(sounds: Sounds, tokenizer: RobertaTokenizer, minutes: float) -> ClapModel:
    """A text encoder whose vectors tell which phrases a prompt has."""
    network = clap(len(tokenizer)).train()
    text, told = ClapText(network), nn.Linear(WIDTH, len(PHRASES))
    optimizer = torch.optim.AdamW([*text.parameters(), *told.parameters()], weight_decay=0.01)
    rate = cosine(1e-3, 50)
    for step, over in enumerate(minutes_of(minutes)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, over)
        prompts = [sounds.prompt(k) for k in sounds.chosen(256).tolist()]
        read = tokenizer(prompts, padding=True, truncation=True, return_tensors="pt")
        said = torch.tensor([[float(phrase in prompt) for phrase in PHRASES] for prompt in prompts])
        loss = nn.functional.binary_cross_entropy_with_logits(told(WIDTH**0.5 * text(read.input_ids, read.attention_mask)), said)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"text: step {step}, {over:4.0%}, loss {loss.item():.4f}", flush=True)
    return network


class Denoiser(nn.Module):
    """What is trained together: the network and the encoder of its prompts."""

    def __init__(self, text: ClapModel) -> None:
        super().__init__()
        self.unet = unet()
        self.clap = text
        with torch.no_grad():
            # CLAP's vectors have length 1, so that their elements are small.
            self.unet.class_embedding.weight *= WIDTH**0.5

    def forward(self, sample: Tensor, timestep: Tensor, prompts: tuple[Tensor, Tensor]) -> Tensor:
        return self.unet(sample, timestep, None, class_labels=ClapText(self.clap)(*prompts)).sample


def prepared(sounds: Sounds, folder: Path, minutes: float, vocoder_minutes: float) -> tuple[AutoencoderKL, SpeechT5HifiGan, Tensor]:
    """The autoencoder, the vocoder and latents of all sounds; trained, unless an earlier call on this folder did."""
    path = folder / "latents.pt"
    if path.exists():
        return AutoencoderKL.from_pretrained(folder / "autoencoder"), SpeechT5HifiGan.from_pretrained(folder / "vocoder"), torch.load(path)
    kl = train_autoencoder(autoencoder(1), lambda: sounds.spectrograms(16), minutes)
    latents = encoded(kl, (part.float() for part in sounds.mels.split(128)))
    voice = train_vocoder(sounds, vocoder_minutes)
    kl.save_pretrained(folder / "autoencoder")
    voice.save_pretrained(folder / "vocoder")
    torch.save(latents, path)
    return kl, voice, latents


def main() -> None:
    options = options_of(__doc__, "musicldm", "autoencoder-minutes", "vocoder-minutes", "text-minutes", "minutes")

    sounds, out = Sounds(options.folder), options.folder / "musicldm"
    kl, voice, latents = prepared(sounds, options.folder, options.autoencoder_minutes, options.vocoder_minutes)
    tokenizer = roberta_tokenizer(sounds, out / "tokenizer")
    alphas = DPMSolverMultistepScheduler(**NOISE).alphas_cumprod

    def loss(network: Denoiser) -> Tensor:
        chosen = sounds.chosen(BATCH)
        texts = tokenizer([sounds.prompt(k) for k in chosen.tolist()], padding=True, truncation=True, return_tensors="pt")
        return noise_loss(network, alphas, latents[chosen], (texts.input_ids, texts.attention_mask))

    network = Denoiser(train_text(sounds, tokenizer, options.text_minutes))
    print(f"{sum(value.numel() for value in network.unet.parameters()) / 1e6:.1f} million parameters", flush=True)
    averaged = train(network, loss, 1e-3, options.minutes, options.folder / "musicldm.pt")
    MusicLDMPipeline(
        vae=kl, text_encoder=averaged.clap, tokenizer=tokenizer, feature_extractor=None, unet=averaged.unet,
        scheduler=DDIMScheduler(**NOISE, clip_sample=False, set_alpha_to_one=False), vocoder=voice,
    ).save_pretrained(out)  # fmt: skip


if __name__ == "__main__":
    main()
