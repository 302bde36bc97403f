"""Writes the bundled model, `models/avatar/`, from its checkpoint: ONNX stages, vocabulary and manifest.

    python models/export_avatar.py [--checkpoint ../shared/model] [--output models/avatar]

Every stage is run in ONNX Runtime and compared with PyTorch first; when they disagree nothing is written. The same checkpoint
gives the same bytes.
"""

import argparse
import hashlib
import json
import os
from pathlib import Path

# ONNX Runtime reports to its maker what it runs unless it is told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnx
import onnxruntime
import torch

import avatar_graph
import avatar_network

HERE = Path(__file__).parent
# Float32 rounding. The picture is in [-1, 1]; tokens between blocks reach ±20, so that 1e-4 is 5e-6 of them.
TOLERANCE = {"denoised": 1e-5, "between stages": 1e-4}
LIMIT = 16 << 20  # bytes, all files together


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


class Runtime:
    """The stages in ONNX Runtime, run by the names of their tensors."""

    def __init__(self, models: dict[str, onnx.ModelProto]) -> None:
        self.sessions = {name: session(model) for name, model in models.items()}

    def run(self, stages: list[str], tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = dict(tensors)
        for stage in stages:
            running = self.sessions[stage]
            made = running.run(None, {one.name: tensors[one.name] for one in running.get_inputs()})
            tensors.update(zip((one.name for one in running.get_outputs()), made))
        return tensors


def expected(network: avatar_network.Network, tensors: dict[str, np.ndarray], kept: torch.Tensor) -> dict[str, torch.Tensor]:
    """What PyTorch makes of ids, sample and level, as the named tensors; blocks see the kept tokens only."""
    sample, level, ids = (torch.from_numpy(tensors[name]) for name in ("sample", "level", "ids"))
    text = network.text(ids)
    contexts = [block.ckv(text) for block in network.blocks]
    made = {"pooled": text.mean(1)}
    for stage, blocks in avatar_graph.SPANS.items():
        own = torch.stack([contexts[k] for k in blocks], 1)
        made[f"context_{stage}"] = own if len(blocks) > 1 else own[:, 0]
    made["hidden_0"], made["skip"], made["embedding"] = network.embed(sample, level, made["pooled"])
    tokens = made["hidden_0"][:, kept]
    for at, blocks in enumerate(avatar_graph.SPANS.values()):
        for k in blocks:
            tokens = network.blocks[k](tokens, made["embedding"], contexts[k])
        made[f"hidden_{at + 1}"] = tokens
    if len(kept) == avatar_graph.TOKENS:
        made["denoised"] = network.head(tokens, made["skip"], made["embedding"])
        whole = network(sample, level, text)
        torch.testing.assert_close(made["denoised"], whole, rtol=0, atol=1e-5)
    return made


def disagreement(network: avatar_network.Network, runtime: Runtime, rows: int, kept: list[int]) -> dict[str, float]:
    """Largest absolute difference between ONNX Runtime and PyTorch, by tensor."""
    random = np.random.default_rng(rows * 100 + len(kept))
    inputs = {
        "ids": random.integers(0, 159, (rows, avatar_network.TEXT_LENGTH)),
        "sample": random.standard_normal((rows, 3, 64, 64), dtype=np.float32),
        "level": random.uniform(0.01, 0.99, rows).astype(np.float32),
    }
    with torch.no_grad():
        wanted = expected(network, inputs, torch.tensor(kept))
    made = runtime.run(["text", "embed"], inputs)
    embedded = made["hidden_0"]
    made = runtime.run([*avatar_graph.SPANS], {**made, "hidden_0": np.ascontiguousarray(embedded[:, kept])})
    if "denoised" in wanted:
        made = runtime.run(["head"], made)
    made["hidden_0"] = embedded
    return {name: float(np.abs(made[name] - value.numpy()).max()) for name, value in wanted.items()}


def multiply_adds(model: onnx.ModelProto, kept: int) -> int:
    """Multiply-adds of one row in convolutions and matrix products, counted from the shapes that a run shows."""
    counted = [node for node in model.graph.node if node.op_type in ("Gemm", "MatMul", "Conv", "ConvTranspose")]
    wanted = sorted({name for node in counted for name in (node.output[0], *node.input[:2])} - {one.name for one in model.graph.input})
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    running = session(probe)
    sizes = {"rows": 1, "kept": kept}
    inputs = {one.name: np.zeros([sizes.get(size, size) for size in one.shape], np.int64 if "int64" in one.type else np.float32) for one in running.get_inputs()}
    shapes = {name: value.shape for name, value in [*inputs.items(), *zip(wanted, running.run(wanted, inputs))]}

    total = 0
    for node in counted:
        left, right, out = (shapes[name] for name in (*node.input[:2], node.output[0]))
        match node.op_type:
            case "Gemm" | "MatMul":
                total += int(np.prod(out)) * left[-1]
            case "Conv":
                total += int(np.prod(out)) * int(np.prod(right[1:]))
            case "ConvTranspose":
                total += int(np.prod(left)) * int(np.prod(right[1:]))
    return total


def flops(model: onnx.ModelProto) -> dict[str, int]:
    """fixed + per_token·n + per_token_pair·n² operations of one row with n tokens, exactly; a multiply-add is two."""
    at0, at8, at16, at64 = (2 * multiply_adds(model, kept) for kept in (1, 8, 16, 64))
    # Three points give the quadratic in integers; a fourth checks it.
    pair = ((at64 - at16) * 8 - (at16 - at8) * 48) // (8 * 48 * (64 - 8))
    token = ((at16 - at8) - pair * (16**2 - 8**2)) // 8
    fixed = at8 - token * 8 - pair * 64
    assert at0 == fixed + token + pair and at64 == fixed + token * 64 + pair * 4096
    return {"fixed": fixed, "per_token": token, "per_token_pair": pair}


def described(name: str, data: bytes) -> dict[str, object]:
    return {"file": f"{name}.onnx", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def manifest(models: dict[str, onnx.ModelProto], files: dict[str, bytes]) -> dict[str, object]:
    """avatar_manifest.json with the stages and the text encoder's file put in."""
    written = json.loads((HERE / "avatar_manifest.json").read_text())
    stages = []
    for name, model in models.items():
        inputs, outputs = ([one.name for one in ends] for ends in (model.graph.input, model.graph.output))
        if name == "text":
            written["text"] = {**described(name, files[name]), **written["text"], "input": inputs[0], "outputs": outputs}
            continue
        kind = "tokens" if name in avatar_graph.SPANS else "dense"
        stages.append({"name": name, "kind": kind, **described(name, files[name]), "inputs": inputs, "outputs": outputs, "flops": flops(model)})
    order = [key for key in written if key not in ("defaults", "schedulers", "grammar", "prompts")]
    return {**{key: written[key] for key in order}, "stages": stages, **{key: value for key, value in written.items() if key not in order}}


def pretty(value: object, indent: str = "") -> str:
    """JSON whose short objects and lists stay on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or len(indent) + len(line) < 120:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        body = [f"{deeper}{json.dumps(key, ensure_ascii=False)}: {pretty(one, deeper)}" for key, one in value.items()]
        return "{\n" + ",\n".join(body) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + pretty(one, deeper) for one in value) + f"\n{indent}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=HERE.parent / "../shared/model", help="folder with avatar.safetensors and vocab.json")
    parser.add_argument("--output", type=Path, default=HERE / "avatar")
    options = parser.parse_args()

    vocabulary = json.loads((options.checkpoint / "vocab.json").read_text())
    network = avatar_network.load(options.checkpoint / "avatar.safetensors", len(vocabulary))
    models = avatar_graph.build({name: value.numpy() for name, value in network.state_dict().items()})
    files = {name: model.SerializeToString(deterministic=True) for name, model in models.items()}

    runtime = Runtime(models)
    everything, half, three = list(range(64)), list(range(0, 64, 2)), [3, 17, 60]
    for rows, kept in [(2, everything), (1, everything), (6, everything), (2, half), (4, half), (2, three), (1, [5])]:
        errors = disagreement(network, runtime, rows, kept)
        found = {"denoised": errors.pop("denoised", 0.0), "between stages": max(errors.values())}
        print(f"rows {rows}, {len(kept):2} tokens: largest difference to PyTorch", ", ".join(f"{name} {error:.1e}" for name, error in found.items()))
        if not all(found[name] <= most for name, most in TOLERANCE.items()):
            raise SystemExit(f"Expected at most {TOLERANCE}; nothing was written.")
    total = sum(map(len, files.values()))
    if total > LIMIT:
        raise SystemExit(f"Expected at most {LIMIT} bytes, made {total}; nothing was written.")

    options.output.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (options.output / f"{name}.onnx").write_bytes(data)
        print(f"{name + '.onnx':12} {len(data):9,} bytes")
    (options.output / "vocab.json").write_text(json.dumps(vocabulary) + "\n")
    (options.output / "plan.json").write_text(pretty(manifest(models, files)) + "\n")
    print(f"{total:,} bytes in all")


if __name__ == "__main__":
    main()
