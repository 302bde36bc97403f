"""The decisions and states of the published SADA code (sada-icml, commit bbbadce) on diffusers' schedulers.

Written from a description of that code, independently of ts/policy/reference.ts, so that the two can be compared; `record_reference.py` checks it against
recordings of the code itself. One `Acceleration` stands in a pipeline's network and in its scheduler's step during one run.
"""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler


@dataclass(frozen=True)
class Settings:
    """Arguments of the published `apply_patch`: skips are decided at steps warmup ≤ i < end; no nodes, no Lagrange part."""

    warmup: int
    end: int
    lagrange_step: int
    lagrange_interval: int
    lagrange_nodes: int
    max_interval: int


class Acceleration:
    """`kinds` has a letter for each step: C network, E extrapolation (criterion), L Lagrange (with flow matching: skipped by the timetable).

    `criteria` are the criterion's elements at each step, or None; `consulted` the steps whose decision hung on the sign of their mean over the whole batch.
    At the steps in `given` the decision is the one given there.
    """

    def __init__(self, scheduler, settings: Settings, given: Mapping[int, str] | None = None) -> None:
        self.scheduler, self.settings, self.given = scheduler, settings, given or {}
        self.advance = scheduler.step
        self.kinds, self.consecutive, self.nfe = "C", 0, 0
        self.criteria: list[torch.Tensor | None] = []
        self.consulted: list[int] = []
        self.answer: object = None  # the network's last, before guidance
        self.history: list[torch.Tensor] = []  # velocities, newest first
        self.nodes: dict[int, torch.Tensor] = {}
        self.expected: torch.Tensor | None = None  # x̂ of the next step, in variance-preserving scale

    def network(self, forward: Callable) -> Callable:
        """`forward`, or what it answered last where the step is skipped."""

        def run(*args, **named):
            if self.kinds[-1] == "C":
                self.answer = forward(*args, **named)
                self.nfe += 1
            return self.answer

        return run

    def step(self, model_output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor, return_dict: bool = True):
        step = len(self.kinds) - 1
        move = self.flow_step if isinstance(self.scheduler, FlowMatchEulerDiscreteScheduler) else self.diffusion_step
        state, criterion = move(step, model_output, timestep, sample)
        self.criteria.append(criterion)
        following = self.given.get(step) or self.decide(step)
        self.consecutive = 0 if following == "C" else self.consecutive + 1
        if step + 1 < len(self.scheduler.timesteps):
            self.kinds += following
        return SimpleNamespace(prev_sample=state) if return_dict else (state,)

    def decide(self, step: int) -> str:
        s = self.settings
        switch = s.lagrange_step if s.lagrange_nodes else s.end
        if self.consecutive >= s.max_interval:
            return "C"
        if max(s.warmup, 3) <= step < switch:
            self.consulted.append(step)
            return "E" if self.criteria[step].mean() <= 0 else "C"
        return "L" if switch <= step < s.end and step % s.lagrange_interval else "C"

    def flow_step(self, step: int, output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor):
        """The history holds outputs, and a skipped step repeats its newest entry there."""
        skipped = self.kinds[step] != "C"
        velocity = 2 * self.history[0] - self.history[1] if skipped else output
        state = self.advance(velocity, timestep, sample, return_dict=False)[0]
        criterion = -(velocity - 2 * self.history[0] + self.history[1]) if len(self.history) == 2 else None
        self.history = [self.history[0] if skipped else output, *self.history][:2]
        return state, criterion

    def diffusion_step(self, step: int, output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor):
        """A skipped step's velocity comes from the state and the last output, and enters the history like any other."""
        euler = isinstance(self.scheduler, EulerDiscreteScheduler)
        steps = len(self.scheduler.timesteps)
        x = sample * self.level(step)[0] if euler else sample
        velocity = self.velocity(step, timestep, output, x)
        x0, state = self.clean_sample_and_state(step, output, timestep, sample, x)
        if self.settings.lagrange_nodes and step % self.settings.lagrange_interval == 1:
            self.nodes[step] = x0 / self.level(step)[0] if euler else x0
            self.nodes = dict(list(self.nodes.items())[-self.settings.lagrange_nodes :])
        self.history = [velocity, *self.history][:3]
        if len(self.history) < 3:
            return state, None
        f, f1, f2 = self.history
        self.expected = x - (0.625 * f + 0.75 * f1 - 0.375 * f2) / steps
        expected = self.expected / self.level(step + 1)[0] if euler else self.expected
        return state, (state - expected) * (f - 2 * f1 + f2)

    def level(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """α and σ; both schedulers keep σ/α."""
        ratio = self.scheduler.sigmas[step]
        alpha = 1 / (1 + ratio**2) ** 0.5
        return alpha, ratio * alpha

    def velocity(self, step: int, timestep: torch.Tensor, output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        alpha, sigma = self.level(step)
        trained = int(timestep)
        half = self.scheduler.betas[trained] * len(self.scheduler.timesteps) / 2
        if self.scheduler.config.prediction_type == "epsilon":
            return half / sigma * output - half * x
        if not isinstance(self.scheduler, EulerDiscreteScheduler):
            alpha = self.scheduler.alphas_cumprod[trained] ** 0.5
        return half / sigma * alpha * output

    def clean_sample_and_state(self, step: int, output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor, x: torch.Tensor):
        if self.kinds[step] == "C":
            made = self.advance(output, timestep, sample)
            return made.pred_original_sample if "pred_original_sample" in made else self.scheduler.model_outputs[-1], made.prev_sample
        x0 = self.extrapolated(step, output, x) if self.kinds[step] == "E" else self.interpolated(step)
        prediction = self.scheduler.config.prediction_type
        self.scheduler.register_to_config(prediction_type="sample")
        state = self.advance(x0, timestep, sample, return_dict=False)[0]
        self.scheduler.register_to_config(prediction_type=prediction)
        return x0, state

    def extrapolated(self, step: int, output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """From x̂ and the last output. With Euler and v-prediction the published code takes the state in place of x̂."""
        alpha, sigma = self.level(step)
        if self.scheduler.config.prediction_type == "epsilon":
            return (self.expected - sigma * output) / alpha
        return alpha * (x if isinstance(self.scheduler, EulerDiscreteScheduler) else self.expected) - sigma * output

    def interpolated(self, step: int) -> torch.Tensor:
        """Lagrange's polynomial over step numbers, through x0; with Euler through x0/α."""
        total = torch.zeros(())
        for node, value in self.nodes.items():
            weight = 1.0
            for other in self.nodes:
                if other != node:
                    weight *= (step - other) / (node - other)
            total = total + weight * value
        return total * self.level(step)[0] if isinstance(self.scheduler, EulerDiscreteScheduler) else total


@contextmanager
def accelerated(pipeline, settings: Settings):
    """While it lasts, one call of the pipeline runs accelerated."""
    network = getattr(pipeline, "transformer", None) or pipeline.unet
    acceleration = Acceleration(pipeline.scheduler, settings)
    network.forward, pipeline.scheduler.step = acceleration.network(network.forward), acceleration.step
    try:
        yield acceleration
    finally:
        del network.forward, pipeline.scheduler.step
