"""Makes short sounds of instruments and drums that prompts describe, and their mel spectrograms.

    python models/training/sounds.py 16000 sounds

Writes to the folder: waves.npy [sounds, samples] (16 bits), mels.npy [sounds, frames, bands] (float16), specs.json, and prompts.json with
prompts for sada-bench: full ones and short ones of sounds that are held out of training.
"""

import argparse
import json
import math
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

RATE = 16_000  # samples of a second
HOP = 160  # samples of a frame of the spectrogram
FRAMES, BANDS = 128, 64
SAMPLES = FRAMES * HOP
WINDOW = 1024
HELD_OUT = 500  # the first sounds
BENCHED = 72  # prompts of each kind

REGISTERS = {"deep": 65, "low": 131, "middle": 262, "high": 523}  # hertz of the lowest note
MELODIES = {  # semitones of its notes, one after another
    "one long note": [0],
    "two rising notes": [0, 7],
    "two falling notes": [7, 0],
    "three rising notes": [0, 4, 7],
    "three falling notes": [7, 4, 0],
    "a repeated note": [0, 0, 0, 0],
    "a fast arpeggio": [0, 4, 7, 12, 7, 4, 0, 4],
}
EFFECTS = ["", "with vibrato", "with tremolo", "with an echo", "muffled"]
DRUMS = ["without drums", "over a slow kick drum", "over a fast kick drum", "over a snare drum", "over fast cymbals"]

# Harmonic k (1, 2, …) → its strength, and how many times a second a note decays by e.
INSTRUMENTS: dict[str, tuple[Callable[[int], float], float]] = {
    "flute": (lambda k: math.exp(-1.6 * (k - 1)), 0.3),
    "organ": (lambda k: 1.0 if k in (1, 2, 4, 8) else 0.15, 0.0),
    "square synth": (lambda k: 1 / k if k % 2 else 0.0, 0.5),
    "sawtooth synth": (lambda k: 1 / k, 0.5),
    "plucked guitar": (lambda k: 1 / k**1.2, 5.0),
    "bell": (lambda k: 1 / (1 + 0.4 * (k - 1)), 3.0),
}
BELL = [1.0, 2.0, 2.4, 3.0, 4.2, 5.4, 6.8, 8.2]  # partials of a bell are no harmonics


@dataclass(frozen=True)
class Spec:
    """What a sound is; pitch, loudness and time of the strokes are random beside it."""

    instrument: str
    register: str
    melody: str
    effect: str
    drums: str

    @classmethod
    def drawn(cls, draw: random.Random) -> "Spec":
        options = (INSTRUMENTS, REGISTERS, MELODIES, EFFECTS, DRUMS)
        return cls(*(draw.choice(list(each)) for each in options))

    def prompt(self) -> str:
        effect = f" {self.effect}" if self.effect else ""
        return f"a {self.register} {self.instrument} playing {self.melody}{effect}, {self.drums}"

    def short(self, draw: random.Random) -> str:
        """At least the instrument; each attribute with one random chance."""
        chance = draw.random()
        register, melody, effect, drums = (draw.random() < chance for _ in range(4))
        parts = [f"a {self.register} {self.instrument}" if register else f"a {self.instrument}"]
        parts += [f"playing {self.melody}"] * melody + [self.effect] * (effect and self.effect != "") + [self.drums] * drums
        return " ".join(parts)


def note(spec: Spec, hertz: float, seconds: float) -> np.ndarray:
    strength, decay = INSTRUMENTS[spec.instrument]
    time = np.arange(int(seconds * RATE)) / RATE
    turns = hertz * time
    if spec.effect == "with vibrato":
        turns = turns + hertz * 0.02 / (2 * np.pi * 6) * np.sin(2 * np.pi * 6 * time)
    sound = np.zeros_like(time)
    for k in range(1, 25):
        factor = (BELL[k - 1] if k <= len(BELL) else math.inf) if spec.instrument == "bell" else k
        if hertz * factor < RATE / 2.2 and strength(k) > 0.005:
            sound += strength(k) * np.exp(-0.15 * k * decay * time) * np.sin(2 * np.pi * factor * turns)
    edges = np.minimum(1, np.minimum(time / 0.008, (seconds - time) / 0.02))
    return sound * np.exp(-decay * time) * np.clip(edges, 0, 1)


def melody(spec: Spec, draw: random.Random) -> np.ndarray:
    semitones = MELODIES[spec.melody]
    base = REGISTERS[spec.register] * 2 ** (draw.uniform(0, 7) / 12)
    length = 1.1 / len(semitones)
    out, start = np.zeros(SAMPLES), int(draw.uniform(0.01, 0.08) * RATE)
    for k, semitone in enumerate(semitones):
        tone = note(spec, base * 2 ** (semitone / 12), length)
        at = start + int(k * length * RATE)
        out[at : at + len(tone)] += tone[: SAMPLES - at]
    if spec.effect == "with tremolo":
        out *= 0.6 + 0.4 * np.sin(2 * np.pi * 7 * np.arange(SAMPLES) / RATE)
    if spec.effect == "with an echo":
        late = int(0.22 * RATE)
        out[late:] += 0.5 * out[:-late]
    if spec.effect == "muffled":
        spectrum = np.fft.rfft(out)
        out = np.fft.irfft(spectrum / (1 + (np.arange(len(spectrum)) * RATE / SAMPLES / 500) ** 4), SAMPLES)
    return out / max(1e-6, np.sqrt((out**2).mean()))


def stroke(kind: str, noise: np.random.Generator) -> np.ndarray:
    time = np.arange(int(0.22 * RATE)) / RATE
    hiss = noise.standard_normal(len(time))
    if "kick" in kind:
        return 5 * np.exp(-14 * time) * np.sin(2 * np.pi * (50 * time + 90 / 30 * (1 - np.exp(-30 * time))))
    if "snare" in kind:
        return np.exp(-18 * time) * (1.6 * hiss + 1.5 * np.sin(2 * np.pi * 190 * time))
    return 1.6 * np.exp(-45 * time) * np.diff(hiss, prepend=0)  # cymbals: the upper half of noise


def beat(spec: Spec, draw: random.Random, noise: np.random.Generator) -> np.ndarray:
    out = np.zeros(SAMPLES)
    if spec.drums == "without drums":
        return out
    every = {"slow": 0.6, "snare": 0.45, "fast kick": 0.3}
    gap = next((gap for word, gap in every.items() if word in spec.drums), 0.15) * RATE
    at = draw.uniform(0, 0.08) * RATE
    while at < SAMPLES - 1:
        hit = stroke(spec.drums, noise)[: SAMPLES - int(at)]
        out[int(at) : int(at) + len(hit)] += hit
        at += gap
    return out


def rendered(spec: Spec, seed: int) -> np.ndarray:
    draw, noise = random.Random(seed), np.random.default_rng(seed)
    sound = melody(spec, draw) + 0.6 * beat(spec, draw, noise) + 0.003 * noise.standard_normal(SAMPLES)
    return 0.14 * draw.uniform(0.8, 1.2) * sound


FILTERS = torch.from_numpy(
    mel_filter_bank(WINDOW // 2 + 1, BANDS, min_frequency=0.0, max_frequency=RATE / 2, sampling_rate=RATE, norm="slaney", mel_scale="slaney")
).float()


def spectrogram(waves: Tensor) -> Tensor:
    """[sounds, samples] → logarithmic mel spectrograms [sounds, frames, bands], moved and scaled into about ±1."""
    edge = (WINDOW - HOP) // 2
    padded = torch.nn.functional.pad(waves[:, None], (edge, edge), mode="reflect")[:, 0]
    magnitudes = torch.stft(padded, WINDOW, HOP, window=torch.hann_window(WINDOW), center=False, return_complex=True).abs()
    return ((magnitudes.transpose(1, 2) @ FILTERS).clamp(min=1e-5).log() + 5) / 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    draw = random.Random(0)
    specs = [Spec.drawn(draw) for _ in range(options.count)]
    waves = np.stack([rendered(spec, k).clip(-1, 1) for k, spec in enumerate(specs)]).astype(np.float32)
    mels = torch.cat([spectrogram(part) for part in torch.from_numpy(waves).split(64)])
    options.folder.mkdir(parents=True, exist_ok=True)
    np.save(options.folder / "waves.npy", (waves * 32767).astype(np.int16))
    np.save(options.folder / "mels.npy", mels.numpy().astype(np.float16))
    (options.folder / "specs.json").write_text(json.dumps([asdict(spec) for spec in specs]))
    benched = {"full": [spec.prompt() for spec in specs[:BENCHED]], "short": [spec.short(draw) for spec in specs[BENCHED : 2 * BENCHED]]}
    (options.folder / "prompts.json").write_text(json.dumps(benched, indent=2) + "\n")


if __name__ == "__main__":
    main()
