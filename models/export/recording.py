"""Recorded values: `expected.json` names tensors of `expected.bin` (little-endian float32) by shape and byte offset."""

import json
import platform
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers


class Recording:
    def __init__(self, note: str) -> None:
        self.note = note
        self.data = bytearray()
        self.places: dict[bytes, int] = {}
        self.cases: list[dict[str, object]] = []

    def tensor(self, value: torch.Tensor | np.ndarray) -> dict[str, object]:
        array = np.ascontiguousarray(value.detach().float().numpy() if isinstance(value, torch.Tensor) else value, dtype="<f4")
        data = array.tobytes()
        if data not in self.places:
            self.places[data] = len(self.data)
            self.data += data
        return {"shape": list(array.shape), "offset": self.places[data]}

    def add(self, **case: object) -> None:
        self.cases.append({key: self.tensor(value) if isinstance(value, (torch.Tensor, np.ndarray)) else value for key, value in case.items()})

    def write(self, folder: Path) -> None:
        made_by = {"diffusers": diffusers.__version__, "transformers": transformers.__version__, "torch": torch.__version__, "machine": platform.machine()}
        cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in self.cases)
        text = f'{{"note": {json.dumps(self.note)},\n"made_by": {json.dumps(made_by)},\n"cases": [\n{cases}\n]}}\n'
        (folder / "expected.json").write_text(text)
        (folder / "expected.bin").write_bytes(self.data)
