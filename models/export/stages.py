"""A network as a list of steps between named tensors, gathered into stages: what is cut, checked and written is the same for all families."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .graph import Part


class Uncuttable(Exception):
    """The network has something that the cut does not know; the whole file works all the same."""


class Step(nn.Module):
    """A piece of a network: `forward` takes the tensors it reads, in order, and gives those it writes."""

    def __init__(self, reads: list[str], writes: list[str], tokens: bool = False, **modules: nn.Module) -> None:
        super().__init__()
        self.reads, self.writes, self.tokens = reads, writes, tokens
        for name, module in modules.items():
            setattr(self, name, module)


@dataclass
class Stage:
    name: str
    steps: list[Step] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return "tokens" if self.steps[0].tokens else "dense"


class StageModule(nn.Module):
    """A stage's steps one after the other."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.steps = nn.ModuleList(stage.steps)
        self.inputs, self.outputs = stage.inputs, stage.outputs

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.inputs, values, strict=True))
        for step in self.steps:
            made = step(*(named[name] for name in step.reads))
            named |= dict(zip(step.writes, made if isinstance(made, tuple) else (made,), strict=True))
        return tuple(named[name] for name in self.outputs)


class Cut:
    """Collects steps into stages. `later` holds a step over to the next stage that starts."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.held: list[Step] = []

    def start(self, name: str) -> None:
        self.stages.append(Stage(name, self.held))
        self.held = []

    def add(self, step: Step) -> None:
        # A stage that does nothing has inputs that its file does not.
        if len(getattr(step, "blocks", [step])) == 0:
            raise Uncuttable(f"no blocks for the stage {self.stages[-1].name}")
        self.stages[-1].steps.append(step)

    def later(self, step: Step) -> None:
        self.held.append(step)

    def finish(self, outputs: list[str]) -> list[Stage]:
        """The stages with their inputs and outputs: what each reads and does not make, and what is read after it."""
        wanted = set(outputs)
        for stage in reversed(self.stages):
            made = [name for step in stage.steps for name in step.writes]
            read = [name for step in stage.steps for name in step.reads]
            stage.outputs = [name for name in dict.fromkeys(made) if name in wanted]
            stage.inputs = [name for name in dict.fromkeys(read) if name not in made]
            wanted |= set(stage.inputs)
            if len({step.tokens for step in stage.steps}) > 1:
                raise ValueError(f"stage {stage.name} mixes steps on tokens with steps on maps")
        return self.stages


@dataclass
class Plan:
    """A network's stages and what a runtime has to know about the tensors between them."""

    stages: list[Stage]
    inputs: dict[str, Tensor]
    # Shape of every tensor as sizes and symbols; "height/2" is half, rounded up.
    shapes: dict[str, list[int | str]]
    sample: str
    time: str
    output: str
    # Inputs that a ControlNet makes at every step.
    controls: list[str]
    # Token grid in symbols, and the latent's elements that a token covers in each direction.
    grid: list[str] | None
    patch: list[int]
    # Stages that can be left out, as `reusable` gives them.
    reuse: list[dict[str, object]]
    # Whether the sample is a list of tokens already, each a patch of the latents.
    packed: bool = False

    def run(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """All tensors, computed stage by stage in PyTorch."""
        named = dict(inputs)
        with torch.no_grad():
            for stage in self.stages:
                made = StageModule(stage)(*(named[name] for name in stage.inputs))
                named |= dict(zip(stage.outputs, made, strict=True))
        return named

    def parts(self) -> list[Part]:
        """Each stage as a file to be, with the tensors of one run as examples."""
        named = self.run(self.inputs)
        parts = []
        for stage in self.stages:
            names = [*stage.inputs, *stage.outputs]
            axes = {name: {axis: size for axis, size in enumerate(self.shapes[name]) if isinstance(size, str)} for name in names}
            parts.append(Part(stage.name, StageModule(stage), {name: named[name] for name in stage.inputs}, stage.outputs, axes))
        return parts


def reusable(stages: list[Stage], entries: list[int]) -> list[dict[str, object]]:
    """Ranges of stages that can be left out while what leaves them is remembered, one for each entry, a stage that takes a skip connection.

    A pass then runs the stages before the range, which make the skip connections of those after it.
    """
    found = []
    maker = {name: k for k, stage in enumerate(stages) for name in stage.outputs}
    for entry in entries:
        needed = {maker[name] for stage in stages[entry:] for name in stage.inputs if name in maker}
        start = max(k for k in needed if k < entries[0] and stages[k].name != "middle") + 1
        leaving = {name for stage in stages[entry:] for name in stage.inputs if start <= maker.get(name, -1) < entry}
        if start < entry:
            found.append({"from": stages[start].name, "to": stages[entry - 1].name, "remembers": sorted(leaving)})
    return found
