"""What the fused step of cuda/bench.cu (bench_step) costs as separate PyTorch operations, on this machine's GPU:

    python cuda/bench_torch.py            one JSON object for each size; exits 3 with one line where there is no PyTorch or no GPU
    python cuda/bench_torch.py --check    no GPU: reads {"inputs": [[...] * 6], "grid": [c, gh, gw, ph, pw] or null} from stdin, writes the
                                          step's rows, sum and token means, made of the same operations on CPU tensors (or NumPy arrays)

Three times of one step, in milliseconds, medians of seven runs of many steps after a warm-up:
    hostMs     until the calls return, nothing waited for
    ms         between two events on the stream: what a loop of steps costs, starting its kernels included
    deviceMs   the same kernels replayed as a CUDA graph: what the GPU alone takes, without the gaps that PyTorch leaves
and beside them what an empty kernel's launch costs, by replay too, and a copy of as many bytes as the fused step moves.
"""

import json
import statistics
import sys
import time

INPUTS, ROWS, STORES, TERMS = 6, 4, 3, 3
RUNS, LEAST_MS = 7, 10.0
# Names and elements as in bench.cu; SDXL's latents are 4 x 128 x 128, Flux's 16 x 128 x 128.
SIZES = [
    ("16384", (16384,)),
    ("SDXL 65536", (4, 128, 128)),
    ("Flux 262144", (16, 128, 128)),
    ("1048576", (1 << 20,)),
    ("4194304", (1 << 22,)),
    ("16777216", (1 << 24,)),
]
PATCH = 2


def rows_of(inputs):
    """Row r is the sum of inputs r, r + 1 and r + 2 (modulo six) with the weights 0.5, 1.5 and 2.5."""
    rows = []
    for r in range(ROWS):
        row = 0.5 * inputs[r % INPUTS]
        for k in range(1, TERMS):
            row = row + (0.5 + k) * inputs[(r + k) % INPUTS]
        rows.append(row)
    return rows


def token_means(product, grid):
    """The mean of each token's elements of [channels, grid height * patch height, grid width * patch width]."""
    channels, height, width, patch_height, patch_width = grid
    return product.reshape(channels, height, patch_height, width, patch_width).mean((0, 2, 4))


def step(inputs, grid=None):
    """Three rows are kept, the product of the last two is summed, and averaged over each token where there is a grid."""
    rows = rows_of(inputs)
    product = rows[2] * rows[3]
    return rows[:STORES], product.sum(), None if grid is None else token_means(product, grid)


def check():
    given = json.load(sys.stdin)
    try:
        import torch

        module, arrays = torch.__name__, [torch.tensor(each, dtype=torch.float32) for each in given["inputs"]]
    except ImportError:
        import numpy

        module, arrays = numpy.__name__, [numpy.array(each, dtype=numpy.float32) for each in given["inputs"]]
    kept, total, means = step(arrays, given.get("grid"))
    flat = None if means is None else means.reshape(-1).tolist()
    print(json.dumps({"module": module, "rows": [row.tolist() for row in kept], "sum": float(total), "means": flat}))


class Bench:
    def __init__(self, torch):
        self.torch = torch
        self.stream = torch.cuda.Stream()

    def times(self, launch, steps):
        """Host and stream milliseconds of one of `steps` launches."""
        cuda = self.torch.cuda
        before, after = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        self.stream.synchronize()
        before.record(self.stream)
        start = time.perf_counter()
        for _ in range(steps):
            launch()
        host = (time.perf_counter() - start) * 1e3
        after.record(self.stream)
        after.synchronize()
        return host / steps, before.elapsed_time(after) / steps

    def measure(self, launch):
        with self.torch.cuda.stream(self.stream):
            steps = 8
            while steps < 1 << 14 and self.times(launch, steps)[1] * steps < LEAST_MS:
                steps *= 2
            runs = [self.times(launch, steps) for _ in range(RUNS)]
        return statistics.median(host for host, _ in runs), statistics.median(device for _, device in runs)

    def replayed(self, launch, times=20):
        """Milliseconds of a launch's kernels in a graph of `times` of them, which leaves no gaps between."""
        torch = self.torch
        with torch.cuda.stream(self.stream):
            launch()
        self.stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            for _ in range(times):
                launch()
        return self.measure(graph.replay)[1] / times

    def copy(self, elements, dtype):
        """Milliseconds of a copy that reads and writes as many bytes as the fused step does."""
        count = elements * (INPUTS + STORES) // 2
        source = self.torch.zeros(count, dtype=dtype, device="cuda")
        target = self.torch.empty_like(source)
        return self.replayed(lambda: target.copy_(source))

    def case(self, name, shape, dtype, with_means):
        torch = self.torch
        inputs = [torch.randn(shape, device="cuda").to(dtype) for _ in range(INPUTS)]
        grid = (shape[0], shape[1] // PATCH, shape[2] // PATCH, PATCH, PATCH) if with_means else None
        host, stream = self.measure(lambda: step(inputs, grid))
        device = self.replayed(lambda: step(inputs, grid))
        elements = inputs[0].numel()
        moved = elements * (INPUTS + STORES) * inputs[0].element_size()
        return {
            "kernel": "step" + (", float16" if dtype == torch.float16 else "") + (", token means" if with_means else ""),
            "size": name,
            "elements": elements,
            "hostMs": host,
            "ms": stream,
            "deviceMs": device,
            "bytes": moved,
            "percentOfCopy": 100 * self.copy(elements, dtype) / device,
        }


def bench(torch):
    torch.backends.cuda.matmul.allow_tf32 = False
    name, (major, minor) = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
    versions = {"torch": torch.__version__, "cuda": torch.version.cuda}
    print(json.dumps({"device": name, "capability": f"{major}.{minor}", **versions}), flush=True)
    run = Bench(torch)
    one = torch.zeros(1, device="cuda")
    # The least that PyTorch can start: a kernel over one element.
    host, stream = run.measure(one.zero_)
    print(json.dumps({"kernel": "empty", "hostMs": host, "ms": stream, "deviceMs": run.replayed(one.zero_)}), flush=True)
    with torch.no_grad():
        for size, shape in SIZES:
            for dtype in (torch.float32, torch.float16):
                print(json.dumps(run.case(size, shape, dtype, False)), flush=True)
            if len(shape) == 3:
                print(json.dumps(run.case(size, shape, torch.float32, True)), flush=True)


def main():
    if sys.argv[1:] == ["--check"]:
        return check()
    try:
        import torch
    except ImportError:
        torch = None
    if torch is None or not torch.cuda.is_available():
        reason = "PyTorch is not installed" if torch is None else f"PyTorch {torch.__version__} finds none"
        print(f"No GPU to measure PyTorch on: {reason}.")
        return sys.exit(3)
    return bench(torch)


if __name__ == "__main__":
    main()
