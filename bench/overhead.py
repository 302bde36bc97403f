"""The same step in PyTorch, for bench/overhead.ts: diffusers' scheduler.step plus the stability criterion.

Reads a line (dpm++ | euler | flow-euler), makes a few runs of 50 steps on 1x4x128x128 latents, prints microseconds per step.
    pip install torch==2.13.0 diffusers==0.42.1
"""
import sys
import time

import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

STEPS = 50
RUNS = 5
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear')
schedulers = {
    'dpm++': lambda: DPMSolverMultistepScheduler(**BETAS),
    'euler': lambda: EulerDiscreteScheduler(**BETAS),
    'flow-euler': lambda: FlowMatchEulerDiscreteScheduler(),
}


def criterion(x, x_next, y, y1, y2, dt):
    """mean((x_next - predicted) * second difference) < 0, as a host decision needs it."""
    predicted = x - dt * (5 / 6 * y + 5 / 6 * y1 - 2 / 3 * y2)
    return ((x_next - predicted) * (y - 2 * y1 + y2)).mean().item()


@torch.inference_mode()
def run(name):
    scheduler = schedulers[name]()
    scheduler.set_timesteps(STEPS)
    output = torch.randn(1, 4, 128, 128)
    x = torch.randn(1, 4, 128, 128) * getattr(scheduler, 'init_noise_sigma', 1.0)  # flow matching starts at unit noise
    history = [torch.randn_like(x), torch.randn_like(x)]
    begin = time.perf_counter()
    for i, t in enumerate(scheduler.timesteps):
        if name == 'euler':
            scheduler.scale_model_input(x, t)
        x_next = scheduler.step(output, t, x, return_dict=False)[0]
        dt = float(scheduler.sigmas[i] - scheduler.sigmas[i + 1])
        criterion(x, x_next, output, history[0], history[1], dt)
        history = [output, history[0]]
        x = x_next
    return (time.perf_counter() - begin) / STEPS * 1e6


torch.set_num_threads(1)  # as many as our step uses; more only slow such small tensors down
print('torch', torch.__version__, 'threads', torch.get_num_threads(), flush=True)
for line in sys.stdin:
    print(sum(run(line.strip()) for _ in range(RUNS)) / RUNS, flush=True)
