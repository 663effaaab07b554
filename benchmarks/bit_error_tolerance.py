"""Which bit error rate a trained network tolerates at one point of accuracy loss, for resilience_headline.py.

A trial is a block of images of a split (the test split, but for the choice), no image in two of them, and its own faults, so that
a bootstrap over trials is one over images and fault seeds. Trial t has the same images in every network, so that networks are
compared in pairs: resamples of networks draw the same trials. The drop of a trial is the clean accuracy on its images, in the
same format, minus that with faults.

Rates lie a quarter of a decade apart, about where a pilot of a few trials at every half decade loses a point; more are added
until the curve crosses one point. It is read off the mean drops after isotonic regression, linearly in the logarithm of the rate.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.data import DataSet, Split
from hwnas.deployed import Program
from hwnas.export import convert, emit
from hwnas.export.guard import INT8_COVERAGE, guarded
from hwnas.graph import Graph
from hwnas.injection import FaultTarget, QdqTarget, TorchTarget
from hwnas.injection.bit_errors import activation_masks
from hwnas.injection.target import FaultSimulator
from hwnas.models.deploying import calibration_images, pixels
from hwnas.network import State
from hwnas.resilience import LOG8, draw_bit_errors
from hwnas.resilience.bootstrap import resampled_weights
from hwnas.resilience.curve import crossing_ber

FORMATS = ("int8", "guarded-int8", "log8")  # guarded: as hwnas export --guard --precision int8 writes it
MEMORIES = ("maps", "activations", "weights")
IMAGE = ("image", "t1")  # before and after its normalisation: int8 files store both where a skip reads the image
LOSS = 0.01
BLOCK = 250  # images of a trial
TRIALS = {"int8": 24, "guarded-int8": 24, "log8": 12}  # of feature maps, half as many of the others; log8 takes ten times as long
PILOT_TRIALS, PILOT_LOSS = 2, 0.03
LOWEST, HIGHEST, AROUND = -24, -2, 3  # rates in quarters of a decade: 1e-6 to 0.3, and how many on each side of the pilot's
RESAMPLES = 1000

Floats = NDArray[np.float64]
Losses = Callable[[Sequence[int], int], Floats]


def trials(dtype: str, memory: str) -> int:
    """How many trials a scenario gets at each rate."""
    return TRIALS[dtype] if memory == "maps" else TRIALS[dtype] // 2


def deployed(graph: Graph, state: State, dtype: str, data: DataSet) -> FaultTarget:
    """A network in a format, calibrated on training images."""
    calibration = calibration_images(data)
    if dtype == "log8":
        return TorchTarget(Program.of(graph, state, LOG8, mean=data.mean, std=data.std, calibration=calibration))
    model = emit(graph, state, mean=data.mean, std=data.std)
    if dtype == "guarded-int8":
        model = guarded(model, calibration, coverage=INT8_COVERAGE)
    return QdqTarget(convert(model, "int8", calibration=calibration))


def tolerance(bench: FaultTarget, split: Split, memory: str, *, seed: int, trials: int) -> dict[str, Any]:
    """Rates ``bers`` (k,), the clean accuracy of every trial ``clean`` (t,) and what it lost at each rate, ``drops`` (k, t)."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(split)))
    blocks = [split.rows(order[BLOCK * t : BLOCK * (t + 1)]) for t in range(trials)]
    clean = np.zeros(trials)

    def run(rates: Sequence[int], count: int) -> Floats:
        drops = np.zeros((len(rates), count))
        for trial, block in enumerate(blocks[:count]):
            engine, labels = bench.engine(pixels(block)), block.labels.numpy()
            clean[trial] = (engine.classes == labels).mean()
            for place, rate in enumerate(rates):
                rng = np.random.default_rng([seed, trial, -rate])
                drops[place, trial] = clean[trial] - (answers(bench, engine, memory, ber(rate), rng) == labels).mean()
        return drops

    rates, drops = around_one_point(run, trials)
    return {"bers": [ber(rate) for rate in rates], "clean": clean.round(4), "drops": drops.round(4)}


def ber(rate: int) -> float:
    return float(10 ** (rate / 4))


def answers(bench: FaultTarget, engine: FaultSimulator, memory: str, rate: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """The classes of one trial: weights are hit once for all its images, activations for each image again."""
    if memory == "weights":
        return engine.weights(bench.memory.flipped(draw_bit_errors(bench.memory.population, rate, rng))).classes
    masks, _ = activation_masks(bench.activations, len(engine.classes), rate, rng)
    if memory == "maps":
        tensors = bench.activations.tensors
        maps = [number for number, tensor in enumerate(tensors[:-1]) if tensor.layer not in IMAGE]
        masks = {number: masks[number] for number in maps if number in masks}
    return engine.disturbed(masks).classes


def around_one_point(run: Losses, trials: int) -> tuple[list[int], Floats]:
    """Rates on both sides of the one that costs a point, and what the trials lost at each."""
    centre = pilot(run)
    rates = list(range(max(LOWEST, centre - AROUND), min(HIGHEST, centre + AROUND) + 1))
    drops = run(rates, trials)
    while rates[0] > LOWEST and drops[0].mean() >= LOSS / 2:
        rates, drops = [rates[0] - 1, *rates], np.vstack([run([rates[0] - 1], trials), drops])
    while rates[-1] < HIGHEST and drops[-1].mean() < 2 * LOSS:
        rates, drops = [*rates, rates[-1] + 1], np.vstack([drops, run([rates[-1] + 1], trials)])
    return rates, drops


def pilot(run: Losses) -> int:
    """The rate at which a few trials lose a point, going up by half decades."""
    rates, drops = [], []
    for rate in range(LOWEST, HIGHEST + 1, 2):
        rates.append(rate)
        drops.append(float(run([rate], PILOT_TRIALS).mean()))
        if drops[-1] > PILOT_LOSS:
            break
    return round(4 * float(np.log10(crossing([ber(rate) for rate in rates], np.array(drops)))))


def crossing(bers: Sequence[float], drops: Floats) -> float:
    """The rate that costs one point, of mean drops (k,); the lowest or highest rate tried where it lies outside."""
    return float(np.clip(crossing_ber(bers, 1 - drops, 1 - LOSS), bers[0], bers[-1])) if len(bers) > 1 else bers[0]


def tolerated(found: Mapping[str, Any]) -> float:
    """The bit error rate at one point of loss of what ``tolerance`` found."""
    return crossing(found["bers"], np.array(found["drops"]).mean(1))


def resampled(found: Mapping[str, Any]) -> Floats:
    """The same in resamples of trials (RESAMPLES,), which are the same for all networks."""
    drops = np.array(found["drops"])
    trials = drops.shape[1]
    rng = np.random.default_rng([1, trials])
    weights = resampled_weights(np.full(trials, 1 / trials), np.zeros(trials, np.int64), rng, RESAMPLES)
    return np.array([crossing(found["bers"], sample) for sample in weights @ drops.T])


def interval(samples: Floats) -> tuple[float, float]:
    """The 95 % percentile interval."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)
