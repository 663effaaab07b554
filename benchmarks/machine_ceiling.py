"""How much two processes that share nothing get done on this machine, against one. Part of ``scaling.py``.

No two workers can do better. Rates are per second of CPU time, so that waiting for a core does not count; what is left is what
cores have in common: clock, caches, memory, and, where two cores are threads of one, all of it.
"""

import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

import torch

SECONDS = 0.4
KINDS = {"compute": 96, "memory": 2896}  # side of a float32 square: 36 kB stay in a core's own cache, 34 MB stay in none


def ceilings(pairs: int) -> dict[str, float]:
    """For either kind: twice the rate of two together over the rate of one alone, the median of some alternating pairs."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = {}
        for kind, side in KINDS.items():
            list(pool.map(_rate, (side, side)))  # both are there, and warm
            ratios = []
            for _ in range(pairs):
                alone = pool.submit(_rate, side).result()
                ratios.append(sum(pool.map(_rate, (side, side))) / alone)
            found[kind] = statistics.median(ratios)
    return found


def _rate(side: int) -> float:
    """Products (small) or copies (large) of a square, per second of CPU time."""
    torch.set_num_threads(1)
    square, out = torch.rand(side, side), torch.empty(side, side)
    count, cpu, ends = 0, time.process_time(), time.monotonic() + SECONDS
    while time.monotonic() < ends:
        if side < 1000:
            torch.mm(square, square, out=out)
        else:
            out.copy_(square)
        count += 1
    return count / (time.process_time() - cpu)
