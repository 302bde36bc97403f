"""Writes a network's stages and plan.json beside its whole file, once they agree."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .graph import Part, WeightFile, to_numpy, trace
from .narrow import narrow
from .stages import Plan, StageModule
from .verify import Disagreement, Runner, agreed, resized

SCHEMA = "sada-plan/2"
LENGTH = 77  # tokens of text at which operations are counted


def traced(part: Part, dtype: str, weights: bool = True) -> onnx.ModelProto:
    model = trace(part, weights)
    if dtype != "fp32":
        narrow(model, dtype)
    return model


def write_stages(plan: Plan, folder: Path, weights: WeightFile, dtype: str) -> None:
    """One ONNX file per stage, its large tensors in the file that the whole network has."""
    for part in plan.parts():
        model = traced(part, dtype)
        weights.take(model)
        (folder / f"{part.name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def check_plan(plan: Plan, whole: Part, folder: Path, sizes: list[dict[str, int]], dtype: str) -> float:
    """Largest relative difference of the plan to the whole network in PyTorch, of every stage to PyTorch, with all tokens and with few.

    Raises `Disagreement` above the tolerance.
    """
    runners = {stage.name: Runner(folder / f"{stage.name}.onnx", dtype) for stage in plan.stages}
    check_types(plan, folder)
    worst = 0.0

    def compare(made: np.ndarray, wanted: torch.Tensor, what: str) -> None:
        nonlocal worst
        worst = max(worst, agreed(made, wanted, f"{folder}: {what}", dtype))

    # The whole network takes one time for all rows; its stages one for each row.
    whole = Part(whole.name, whole.module, {**whole.inputs, plan.time: plan.inputs[plan.time]}, whole.outputs, {**whole.axes, plan.time: {0: "rows"}})
    for k, size in enumerate([{}, *sizes]):
        inputs = resized(whole, size, 100 + k)
        inputs[plan.time] = inputs[plan.time][:1].expand(len(inputs[plan.sample])).clone()
        wanted = plan.run(inputs)
        compare(to_numpy(wanted[plan.output]), whole.run(inputs)[plan.output], f"the cut network in PyTorch at {size}")
        made = {name: to_numpy(value) for name, value in inputs.items()}
        for stage in plan.stages:
            made |= runners[stage.name].run(made)
            for name in stage.outputs:
                compare(made[name], wanted[name], f"{stage.name}: {name} at {size}")
        for reuse in plan.reuse:
            compare(without(plan, runners, made, inputs, reuse), wanted[plan.output], f"the network without {reuse['from']} to {reuse['to']}")
        for name, value, expected in pruned(plan, runners, wanted, k):
            compare(value, expected, f"{name} on some of the tokens at {size}")
    return worst


def check_types(plan: Plan, folder: Path) -> None:
    """Raises `Disagreement` where a stage takes a tensor in another type than the one that it is made in."""
    made: dict[str, int] = {}
    for stage in plan.stages:
        graph = onnx.load(folder / f"{stage.name}.onnx", load_external_data=False).graph
        for one in (*graph.input, *graph.output):
            kind = one.type.tensor_type.elem_type
            if made.setdefault(one.name, kind) != kind:
                raise Disagreement(f"{folder}: {stage.name} has {one.name} as type {kind}, other stages as {made[one.name]}")


def without(plan: Plan, runners: dict[str, Runner], made: dict[str, np.ndarray], inputs: dict[str, torch.Tensor], reuse: dict[str, object]) -> np.ndarray:
    """The output of a pass that leaves a range of stages out and has only what the plan says it remembers."""
    names = [stage.name for stage in plan.stages]
    first, last = names.index(reuse["from"]), names.index(reuse["to"])
    named = {name: to_numpy(value) for name, value in inputs.items()} | {name: made[name] for name in reuse["remembers"]}
    for stage in [*plan.stages[:first], *plan.stages[last + 1 :]]:
        named |= runners[stage.name].run(named)
    return named[plan.output]


def pruned(plan: Plan, runners: dict[str, Runner], named: dict[str, torch.Tensor], seed: int):
    """(stage, made, wanted) of each token stage on a third of the tokens."""
    for stage in plan.stages:
        if stage.kind != "tokens":
            continue
        given = {}
        for name in stage.inputs:
            value = named[name]
            if "tokens" in plan.shapes[name]:
                axis = plan.shapes[name].index("tokens")
                order = torch.randperm(value.shape[axis], generator=torch.Generator().manual_seed(seed))
                value = value.index_select(axis, order[: -(-len(order) // 3)].sort().values)
            given[name] = value
        with torch.no_grad():
            wanted = StageModule(stage)(*given.values())
        made = runners[stage.name].run({name: to_numpy(value) for name, value in given.items()})
        for name, value in zip(stage.outputs, wanted):
            yield stage.name, made[name], value


def operations(plan: Plan, inputs: dict[str, torch.Tensor]) -> dict[str, int]:
    """Floating-point operations of each stage for these inputs, on the device of its weights: on `meta` nothing is computed."""
    device = next(weight.device for stage in plan.stages for weight in StageModule(stage).parameters())
    named, counted = {name: value.to(device) for name, value in inputs.items()}, {}
    for stage in plan.stages:
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            made = StageModule(stage)(*(named[name] for name in stage.inputs))
        named |= dict(zip(stage.outputs, made, strict=True))
        counted[stage.name] = counter.get_total_flops()
    return counted


def flops(plan: Plan, whole: Part, sizes_of: list[tuple[int, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """fixed + per_token·n + per_token_pair·n² operations of one row with n tokens for each stage, from counts at four sizes."""
    points = [(n, operations(plan, resized(whole, {**size, "rows": 1, "steps": 1}, 0))) for n, size in sizes_of]
    made = {}
    for stage in plan.stages:
        (n0, f0), (n1, f1), (n2, f2), (n3, f3) = ((n, counted[stage.name]) for n, counted in points)
        slope = (f1 - f0) / (n1 - n0)
        pair = ((f2 - f1) / (n2 - n1) - slope) / (n2 - n0)
        token = slope - pair * (n0 + n1)
        fixed = f0 - token * n0 - pair * n0**2
        if abs(fixed + token * n3 + pair * n3**2 - f3) > 1e-9 * f3 + 0.5:
            raise ArithmeticError(f"{stage.name}: operations are not quadratic in the number of tokens")
        # Where attention runs at a coarser resolution a term is a fraction; operations are whole.
        made[stage.name] = {key: exact(value) for key, value in (("fixed", fixed), ("per_token", token), ("per_token_pair", pair))}
    return made


def exact(value: float) -> int | float:
    return int(value) if value == int(value) else round(value, 6)


def described(path: Path) -> dict[str, object]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 24), b""):
            digest.update(block)
    return {"file": path.name, "sha256": digest.hexdigest(), "bytes": path.stat().st_size}


def manifest(plan: Plan, folder: Path, counted: dict[str, dict[str, int]], network: str, dtype: str) -> dict[str, object]:
    kinds = ("sample", "time", "output")
    stages = [
        {"name": stage.name, "kind": stage.kind, **described(folder / f"{stage.name}.onnx"), "inputs": stage.inputs, "outputs": stage.outputs, "flops": counted[stage.name]}
        for stage in plan.stages
    ]
    own = {getattr(plan, kind) for kind in kinds}
    return {
        "schema": SCHEMA,
        "network": network,
        "dtype": dtype,
        "parameterisation": "native",
        **{kind: getattr(plan, kind) for kind in kinds},
        "conditioning": [name for name in plan.inputs if name not in own and name not in plan.controls],
        "controls": plan.controls,
        "tokens": {"grid": plan.grid, "patch": plan.patch, "packed": plan.packed},
        "tensors": plan.shapes,
        # Of networks without weights (bench/shapes) there is neither.
        **{key: described(folder / file) for key, file in (("whole", "model.onnx"), ("weights", "model.onnx_data")) if (folder / file).exists()},
        "flops_length": LENGTH,
        "stages": stages,
        "reuse": plan.reuse,
    }


def pretty(value: object, indent: str = "") -> str:
    """JSON whose short objects and lists stay on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or len(indent) + len(line) < 120:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        body = [f"{deeper}{json.dumps(key)}: {pretty(one, deeper)}" for key, one in value.items()]
        return "{\n" + ",\n".join(body) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + pretty(one, deeper) for one in value) + f"\n{indent}]"
