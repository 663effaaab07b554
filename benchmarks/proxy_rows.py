"""One network of resilience_proxy.py: trained, and hit by bit flips in every format and target, beside what proxies say of it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from proxy_networks import SETS, depth, skips, trained

from hwnas.campaign import Campaign, Examples, FaultSettings, single_result
from hwnas.data import DataSet, DataSettings, load
from hwnas.deployed import Program
from hwnas.deployed.expected_change import activation_changes, per_rate, weight_changes
from hwnas.errors import DivergedError
from hwnas.experiment.cheap import topology_values
from hwnas.export import convert, emit
from hwnas.graph import Graph, from_json, to_json
from hwnas.injection import FaultSimulator, FaultTarget, QdqTarget, TorchTarget, effect
from hwnas.injection.bit_errors import activation_masks
from hwnas.models.deploying import calibration_images, pixels
from hwnas.network import State
from hwnas.resilience import draw_bit_errors, format_named, normalised_area, percentile_interval
from hwnas.resilience.curve import resampled_curves

TARGETS = ("activations", "weights")
FLIP_FORMATS, FLIP_POINTS, MOST_FLIPS, AREA_POINTS = ("int8", "float32"), 1.0, 2500, 4.0
FLOAT_BERS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
BERS = {"int8": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1), "float32": FLOAT_BERS, "bfloat16": FLOAT_BERS}
PROXY_DRAWS = (24, 128)  # two separate draws of so many images tell how well the proxy agrees with itself
TRIAL_IMAGES, MORE_TRIALS, MOST_TRIALS = 200, 10, 200  # of a plain curve


def one_row(set_name: str, place: int, graph_json: str, seed: int = 0) -> dict[str, Any]:
    """Train network number ``place`` of a set and measure it in every scenario; ``seed`` is that of the faults."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    started, graph, chosen = time.perf_counter(), from_json(graph_json), SETS[set_name]
    data = loaded(chosen.data)
    row: dict[str, Any] = {"set": set_name, "place": place, "date": datetime.now(UTC).isoformat(timespec="seconds")}
    row |= {"depth": depth(graph), "skips": skips(graph), **topology_values(graph), "graph": to_json(graph)}
    try:
        state = trained(graph, data, chosen, place)
    except DivergedError as error:
        return row | {"left_out": str(error)}
    row["train_s"] = time.perf_counter() - started
    examples = Examples(images=pixels(data.validation), labels=data.validation.labels.numpy())
    float32 = Program.of(graph, state, mean=data.mean, std=data.std)
    row["clean_error"] = Campaign("", TorchTarget(float32), examples, FaultSettings()).clean_error()
    if row["clean_error"] > chosen.worst_error:
        return row | {"left_out": f"clean error {row['clean_error']:.2f}"}
    row["scenarios"] = scenarios(graph, state, data, examples, chosen.formats, seed)
    row["seconds"] = time.perf_counter() - started
    return row


@lru_cache(maxsize=1)
def loaded(settings: DataSettings) -> DataSet:
    return load(settings)


def scenarios(graph: Graph, state: State, data: DataSet, examples: Examples, formats: Sequence[str], seed: int) -> dict[str, Any]:
    """Every format and target: what is measured, and what is expected from the weights."""
    found: dict[str, Any] = {}
    float32, calibration = Program.of(graph, state, mean=data.mean, std=data.std), calibration_images(data)
    for dtype in formats:
        bench = deployed(graph, state, dtype, data, calibration)
        for target in TARGETS:
            population = bench.memory.population if target == "weights" else bench.activations
            found[f"{dtype} {target}"] = {
                **scenario(bench, examples, dtype, target, seed),
                **proxy(float32, calibration, dtype, target),
                "bits": population.size,
            }
    return found


def proxy(float32: Program, calibration: np.ndarray, dtype: str, target: str) -> dict[str, Any]:
    """What is expected from the weights, of a device and of one flip; of activations also by draws of fewer images."""
    pictures, layout = torch.from_numpy(calibration), format_named(dtype)
    changes = weight_changes if target == "weights" else activation_changes
    found = changes(float32, pictures, layout)
    expected: dict[str, Any] = {"expected_change": per_rate(found), "expected_flip": found.mean()}
    if target == "activations":
        expected["expected_change_draws"] = {
            str(count): [
                per_rate(changes(float32, pictures[first :: len(pictures) // count][:count], layout)) for first in (0, 1)
            ]
            for count in PROXY_DRAWS
        }
    return expected


def deployed(graph: Graph, state: State, dtype: str, data: DataSet, calibration: np.ndarray) -> FaultTarget:
    if dtype != "int8":
        return TorchTarget(Program.of(graph, state, format_named(dtype), mean=data.mean, std=data.std))
    return QdqTarget(convert(emit(graph, state, mean=data.mean, std=data.std), "int8", calibration=calibration))


def scenario(bench: FaultTarget, examples: Examples, dtype: str, target: str, seed: int) -> dict[str, Any]:
    """One campaign at fixed bit error rates; ``changed`` and ``accuracies`` are (rates, trials)."""
    settings = FaultSettings(
        target=target,  # type: ignore[arg-type]
        fault="ber",
        dtype=dtype,  # type: ignore[arg-type]
        bers=BERS[dtype],
        half_width=AREA_POINTS,
        seed=seed,
    )
    found = plain_trials(bench, examples, settings)
    if found is None:
        return {"left_out": "quantised it knows no more than chance"}
    single = {}
    if dtype in FLIP_FORMATS:
        flips = FaultSettings(
            target=target,  # type: ignore[arg-type]
            dtype=dtype,  # type: ignore[arg-type]
            half_width=FLIP_POINTS,
            max_faults=MOST_FLIPS,
            seed=seed,
        )
        one = single_result(Campaign("network", bench, examples, flips).single(None, lambda stage: None)).changed
        single = {"flip": one.value, "flip_standard_error": one.standard_error}
    changed, accuracies = found["changed"], found["accuracies"]
    standard_error = float((changed.std(axis=1, ddof=1) ** 2 / changed.shape[1]).sum() ** 0.5 / len(changed))
    clean, chance = found["clean"], found["chance"]
    return single | {
        "ccr": float(changed.mean()),
        "ccr_standard_error": standard_error,
        "loss": 1 - float(normalised_area(BERS[dtype], accuracies.mean(1), clean=clean, chance=chance)),
        "clean": clean,
        "chance": chance,
        "changed": changed.round(4),
        "accuracies": accuracies.round(4),
    }


def plain_trials(bench: FaultTarget, examples: Examples, settings: FaultSettings) -> dict[str, Any] | None:
    """As many plain trials at each rate, (rates, trials), until the area is known to the half-width; None at chance.

    The table resamples whole trials, shared by the rates: a campaign's own, which go where they tell most, do not serve it.
    """
    order = np.random.default_rng([settings.seed, 2]).permutation(len(examples.labels))[:TRIAL_IMAGES]
    engine, labels = bench.engine(examples.images[order]), examples.labels[order]
    clean, chance = float((engine.classes == labels).mean()), 1.0 / bench.classes
    if clean <= chance:
        return None
    rows: list[list[tuple[float, float]]] = []
    half_width = np.inf
    while 100 * half_width > settings.half_width and len(rows) < MOST_TRIALS:
        for trial in range(len(rows), len(rows) + MORE_TRIALS):
            rows.append([_plain_trial(bench, engine, labels, settings, trial, place) for place in range(len(settings.bers))])
        changed, accuracies = np.array(rows).transpose(2, 1, 0)
        resampled = resampled_curves(list(accuracies), np.random.default_rng([settings.seed, 3]), 500)
        value = float(normalised_area(settings.bers, accuracies.mean(1), clean=clean, chance=chance))
        areas = normalised_area(settings.bers, resampled, clean=clean, chance=chance)
        half_width = percentile_interval(value, areas, accuracies.size).half_width
    return {"changed": changed, "accuracies": accuracies, "clean": clean, "chance": chance}


def _plain_trial(
    bench: FaultTarget, engine: FaultSimulator, labels: np.ndarray, settings: FaultSettings, trial: int, place: int
) -> tuple[float, float]:
    ber, rng = settings.bers[place], np.random.default_rng([settings.seed, 1, trial, place])
    if settings.target == "weights":
        answers = engine.weights(bench.memory.flipped(draw_bit_errors(bench.memory.population, ber, rng)))
    else:
        answers = engine.disturbed(activation_masks(bench.activations, len(labels), ber, rng)[0])
    found = effect(answers, engine.classes, labels)
    return found.changed, float(np.clip((engine.classes == labels).mean() - found.drop / 100, 0, 1))
