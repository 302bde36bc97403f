"""Makes the weights that a folder of `make.py --weightless` lists: random numbers with their means and deviations.

    python fill.py FOLDER [--seed 1]

Needs numpy and processors: each tensor is drawn in blocks, by as many processes as there are, straight into the pages of its file. The numbers are those
of the seed, whatever the machine.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from statistics import NormalDist

import numpy as np

BLOCK = 1 << 22  # values
# Quantiles of the normal distribution: 16 random bits choose one, which is many times as fast as drawing a number.
QUANTILES = np.array([NormalDist().inv_cdf((k + 0.5) / 65536) for k in range(65536)])

files: list[np.memmap] = []


def fill(task: tuple[int, int, int, str, float, float, list[int]]) -> None:
    file, offset, count, dtype, mean, deviation, seed = task
    table = (mean + deviation * QUANTILES).astype(dtype)
    words = np.random.Generator(np.random.SFC64(seed)).integers(0, 1 << 64, -(-count // 4), dtype=np.uint64)
    target = files[file][offset : offset + count * table.itemsize].view(dtype)
    target[:] = table[words.view("<u2")[:count]]


def tasks(listed: list[dict[str, object]], seed: int):
    for k, file in enumerate(listed):
        for index, tensor in enumerate(file["tensors"]):
            item = np.dtype(tensor["dtype"]).itemsize
            count = tensor["bytes"] // item
            for from_ in range(0, count, BLOCK):
                drawn = [seed, k, index, from_ // BLOCK]
                yield k, tensor["offset"] + from_ * item, min(BLOCK, count - from_), tensor["dtype"], tensor["mean"], tensor["std"], drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    listed = json.loads((given.folder / "weights.json").read_text())["files"]
    for file in listed:
        path = given.folder / file["file"]
        with path.open("wb") as empty:
            empty.truncate(max(1, file["bytes"]))
        files.append(np.memmap(path, np.uint8, "r+"))
    # Forked after the files are mapped, which the processes then share.
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.imap_unordered(fill, tasks(listed, given.seed), 4):
            pass
    seconds = time.monotonic() - began
    written = sum(file["bytes"] for file in listed)
    print(f"{given.folder}: {written / 1e9:.2f} GB in {seconds:.1f} s, {written / seconds / 1e9:.2f} GB/s", file=sys.stderr)


if __name__ == "__main__":
    main()
