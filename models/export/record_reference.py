"""Writes test/fixtures/families/reference: what the published SADA algorithm (sada_reference.py) makes of the fixtures' small random models.

    cd models && python -m export.record_reference

The models run in diffusers' own pipelines and schedulers. Before anything is written, the algorithm replays the recordings of the authors' code, those of
../shared/traces/sada where that folder is there, else test/fixtures/sada; if one differs, nothing is written. The authors' code itself has not run on these models.
"""

import base64
import json
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionControlNetPipeline

from . import tiny
from .record_families import FIXTURES, NEGATIVE, PROMPT, generator, pictures, run, schedulers, settings, states, with_plain_features
from .recording import Recording
from .sada_reference import Acceleration, Settings, accelerated

ROOT = Path(__file__).parents[2]
TRACES = next(folder for folder in (ROOT.parent / "shared/traces/sada", ROOT / "test/fixtures/sada") if folder.is_dir())
NOTE = """A second implementation of the published SADA algorithm (models/export/sada_reference.py) in diffusers' own pipelines on the CPU in float32, on the weights of
the folder "family". The authors' code itself has not run on these; the implementation was first checked against %d recordings of that code on an analytic denoiser. "kinds": C network, E
extrapolation, L Lagrange; "nfe": network runs; "consulted": the steps whose decision hung on the sign of the criterion's mean over the whole batch, "criterion" its mean over each member there, "criterion_abs"
that of its magnitude over the batch; "final": the last latents."""
STEPS = 28
# Below this share of its mean magnitude, rounding may decide a criterion's sign.
MARGIN = 0.02


def floats(text: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), "<f4").reshape(*shape).copy())


class Mixture:
    """The recordings' analytic denoiser: the posterior mean of equal isotropic Gaussians, in float64 between float32."""

    def __init__(self, trace: dict) -> None:
        file = next(folder / "gmm.json" for folder in (TRACES, TRACES.parent) if (folder / "gmm.json").exists())
        described = json.loads(file.read_text())
        self.means, self.variance = floats(described["means"], described["K"], -1).double(), described["s"] ** 2
        self.trace = trace

    def __call__(self, x: torch.Tensor, timestep: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
        everything, guidance = self.predict(x, timestep, ratio, len(self.means)), self.trace["guidance"]
        if guidance == 1:
            return everything
        return everything + guidance * (self.predict(x, timestep, ratio, 3) - everything)

    def predict(self, x: torch.Tensor, timestep: torch.Tensor, ratio: torch.Tensor, components: int) -> torch.Tensor:
        level = ratio.double()
        alpha = 1 - level if self.trace["solver"] == "flow" else 1 / (1 + level**2) ** 0.5
        sigma = level if self.trace["solver"] == "flow" else level * alpha
        flat, means = x.double().flatten(1), self.means[:components]
        w = alpha**2 * self.variance + sigma**2
        from_mean = flat[:, None] - alpha * means
        share = torch.softmax(-(from_mean**2).sum(-1) / (2 * w), -1)
        x0 = (share[..., None] * (means + alpha * self.variance / w * from_mean)).sum(1)
        noise = (flat - alpha * x0) / sigma
        prediction = "flow" if self.trace["solver"] == "flow" else self.trace["scheduler"]["prediction_type"]
        output = {"flow": noise - x0, "epsilon": noise, "v_prediction": alpha * noise - sigma * x0}[prediction]
        if self.trace["rough"]:
            output = output + 0.02 * torch.sin(37 * flat + 11 * timestep.double() / 1000)
        return output.float().reshape(x.shape)


def replay(trace: dict) -> list[str]:
    """How the algorithm differs from one recording of the authors' code. At coin flips the recording decides."""
    scheduler = getattr(diffusers, trace["scheduler_class"]).from_config(trace["scheduler"])
    steps, flow = trace["steps"], trace["solver"] == "flow"
    if flow:
        shift = {"mu": trace["scheduler"]["base_shift"]} if trace["scheduler"].get("use_dynamic_shifting") else {}
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), **shift)
    else:
        scheduler.set_timesteps(steps)
    given = trace["sada"]
    names = (*given["acc_range"], given["lagrange_step"], given["lagrange_int"], given["lagrange_term"], given["max_interval"])
    acceleration = Acceleration(scheduler, Settings(*names), {step: trace["next"][step] for step in trace["coin_flips"]})
    network = acceleration.network(Mixture(trace))
    state = floats(trace["noise"], len(trace["seeds"]), 4, 8, 8) * trace["init_noise_sigma"]
    differences = []
    for step, timestep in enumerate(scheduler.timesteps):
        x = state if flow else scheduler.scale_model_input(state, timestep)
        output = network(x, timestep, scheduler.sigmas[step])
        state = acceleration.step(output, timestep, state).prev_sample
        if str(step + 1) in trace["latents"]:
            # Euler's state is x/α.
            alpha = acceleration.level(step + 1)[0] if trace["solver"] == "euler" else 1
            differences.append(((state - floats(trace["latents"][str(step + 1)], *state.shape)).abs().max() * alpha).item())
    wrong = [f"{name} is {mine}, not {theirs}" for name, mine, theirs in (("kinds", acceleration.kinds, trace["kinds"]), ("nfe", acceleration.nfe, trace["nfe"])) if mine != theirs]
    if max(differences) > 1e-5:
        wrong.append(f"a state differs by {max(differences):.1e}")
    for step in set(trace["consulted"]) - set(trace["coin_flips"]):
        share = abs(acceleration.criteria[step].mean().item() - trace["criterion"][step]) / trace["criterion_abs"][step]
        if share > 3e-3:
            wrong.append(f"the criterion at step {step} differs by {share:.1e} of its magnitude")
    return wrong


def check() -> int:
    """How many recordings of the authors' code the algorithm repeats; raises where it does not."""
    files = sorted(file for file in TRACES.glob("*.json") if file.name != "gmm.json")
    wrong = {file.stem: found for file in files if (found := replay(json.loads(file.read_text())))}
    if wrong or not files:
        raise SystemExit(f"not recorded: {len(wrong)} of {len(files)} recordings of the authors' code in {TRACES} are not repeated: {json.dumps(wrong, indent=1)}")
    return len(files)




@dataclass(frozen=True)
class Case:
    """`scheduler` is one of those that `schedulers` names, or None, the family's own; a seed for each picture."""

    family: str
    scheduler: str | None
    seeds: tuple[int, ...]
    accelerated: Settings
    call: dict[str, object]


SIZE = {"height": 32, "width": 48}
PROMPTS = {"prompt": [PROMPT, "the dog"]}
GUIDED = {**PROMPTS, "negative_prompt": [NEGATIVE, ""], "guidance_scale": 7.5, **SIZE}
FLUX = {**PROMPTS, "guidance_scale": 3.5, "max_sequence_length": 32, **SIZE}
SD3 = {**GUIDED, "guidance_scale": 5.0, "max_sequence_length": 32}
PIXART = {**SD3, "guidance_scale": 4.5, "clean_caption": False, "use_resolution_binning": False}
SOUND = {"prompt": ["the drum and the beat", "a song at noon!"], "negative_prompt": ["low quality", ""], "guidance_scale": 3.5, "audio_length_in_s": 0.03}
USUAL = Settings(warmup=3, end=25, lagrange_step=14, lagrange_interval=4, lagrange_nodes=3, max_interval=4)
# With flow matching the criterion after a skip is zero up to rounding. It is not asked where skips stand alone, nor where the timetable takes over with the first.
ALONE = Settings(warmup=4, end=25, lagrange_step=14, lagrange_interval=4, lagrange_nodes=3, max_interval=1)
LATE = Settings(warmup=12, end=25, lagrange_step=13, lagrange_interval=4, lagrange_nodes=3, max_interval=3)
CASES = (
    Case("sd2", "dpm++ epsilon", (7,), USUAL, GUIDED),
    Case("sd2", "dpm++ v_prediction", (1, 2), USUAL, GUIDED),
    Case("sd2", "euler epsilon", (9, 29), USUAL, GUIDED),
    Case("sd2", "euler v_prediction", (37,), USUAL, GUIDED),
    Case("sd2-controlnet", "dpm++ epsilon", (7,), USUAL, GUIDED),
    Case("sdxl", "dpm++ epsilon", (7,), USUAL, GUIDED),
    Case("sdxl", "euler epsilon", (8, 28), USUAL, GUIDED),
    Case("sd3", None, (1, 2), ALONE, SD3),
    Case("pixart", "dpm++ epsilon", (7,), USUAL, PIXART),
    Case("pixart", "euler epsilon", (8, 28), USUAL, PIXART),
    Case("flux", None, (7,), ALONE, FLUX),
    Case("flux", None, (1, 2), LATE, FLUX),
    Case("musicldm", "euler epsilon", (7,), USUAL, SOUND),
    Case("musicldm", "dpm++ epsilon", (1, 2), USUAL, SOUND),
)


def pipeline_of(family: str, folder: Path):
    """The fixtures' model; of several ControlNets the first."""
    made = getattr(tiny, family.replace("-", "_"))(folder)
    made.set_progress_bar_config(disable=True)
    if family == "musicldm":
        return with_plain_features(made)
    if family == "sd2-controlnet":
        parts = {key: value for key, value in made.components.items() if key not in ("controlnet", "image_encoder")}
        return StableDiffusionControlNetPipeline(**parts, controlnet=made.controlnet.nets[0], requires_safety_checker=False)
    return made


def final_latents(pipeline, **call) -> torch.Tensor:
    if hasattr(pipeline, "_callback_tensor_inputs"):
        return run(pipeline, **call)["final"]
    return states(pipeline, **call)[0][-1]


def record(pipeline, case: Case) -> dict[str, object]:
    """One accelerated run; raises where it shows little or a decision hangs on rounding."""
    own = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    pipeline.scheduler = dict(schedulers(pipeline))[case.scheduler] if case.scheduler else own
    controls = {"image": pictures(32, 48)[0]} if case.family == "sd2-controlnet" else {}
    call = {key: value[: len(case.seeds)] if isinstance(value, list) else value for key, value in case.call.items()} | {"num_inference_steps": STEPS}
    with accelerated(pipeline, case.accelerated) as made:
        final = final_latents(pipeline, **call, **controls, generator=[generator(seed) for seed in case.seeds])
    name = f"{case.family}, {case.scheduler or 'flow-euler'}, {len(case.seeds)} at once"
    consulted = [made.criteria[step] for step in made.consulted]
    margin = min((each.mean().abs() / each.abs().mean()).item() for each in consulted)
    members = [each.flatten(1).mean(1).tolist() for each in consulted]
    disagreed = sum(min(each) <= 0 < max(each) for each in members)
    print(f"{name}: {made.kinds}, least margin {margin:.3f}, {disagreed} decisions where members alone would differ")
    if margin < MARGIN or set(made.kinds) != set("CEL"):
        raise SystemExit(f"{name}: choose other seeds or settings")
    return {
        "name": name,
        "task": "text-to-image",
        "family": case.family,
        "seeds": case.seeds,
        **call,
        **({"control": controls["image"][None]} if controls else {}),
        "scheduler": settings(pipeline.scheduler),
        "accelerated": asdict(case.accelerated),
        "kinds": made.kinds,
        "nfe": made.nfe,
        "consulted": made.consulted,
        "criterion": members,
        "criterion_abs": [each.abs().mean().item() for each in consulted],
        "final": final,
    }


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    recording = Recording(NOTE % check())
    for family in dict.fromkeys(case.family for case in CASES):
        with tempfile.TemporaryDirectory() as folder:
            pipeline = pipeline_of(family, Path(folder))
            for case in CASES:
                if case.family == family:
                    recording.add(**record(pipeline, case))
    folder = FIXTURES / "reference"
    folder.mkdir(exist_ok=True)
    recording.write(folder)


if __name__ == "__main__":
    main()
