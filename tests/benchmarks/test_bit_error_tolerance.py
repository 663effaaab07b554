from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bit_error_tolerance import AROUND, LOSS, answers, around_one_point, ber, crossing, interval, resampled, tolerated
from resilience_headline import FINALISTS, averaged, chosen, compared, finalists

from hwnas.resilience import INT8, Population, Role, TensorBits


def losing(points_at: float, noise: float = 0.0):
    """Trials that lose one point at a rate, in proportion to it."""

    def run(rates: Sequence[int], trials: int) -> np.ndarray:
        rng = np.random.default_rng(0)
        exact = np.array([[min(1.0, LOSS * ber(rate) / points_at)] * trials for rate in rates])
        return exact + rng.normal(0, noise, exact.shape) if noise else exact

    return run


def found(points_at: float, trials: int = 8, noise: float = 0.0) -> dict[str, Any]:
    rates, drops = around_one_point(losing(points_at, noise), trials)
    return {"bers": [ber(rate) for rate in rates], "drops": drops, "clean": np.full(trials, 0.9)}


@pytest.mark.parametrize("points_at", [3e-6, 1e-4, 2.5e-3, 0.09])
def test_the_rate_that_costs_a_point_is_found_and_lies_inside_the_rates(points_at: float) -> None:
    curve = found(points_at)
    assert tolerated(curve) == pytest.approx(points_at, rel=0.05)  # a straight line bends in the logarithm of the rate
    assert curve["bers"][0] < points_at < curve["bers"][-1]
    assert len(curve["bers"]) >= AROUND + 1


def test_a_pilot_that_was_wrong_is_mended_by_more_rates() -> None:
    exact, calls = losing(1e-4), []

    def misled(rates: Sequence[int], trials: int) -> np.ndarray:
        calls.append(list(rates))
        return exact(rates, trials) * (1 if trials > 2 else 100)  # the pilot sees a network that breaks a hundred times earlier

    rates, drops = around_one_point(misled, 8)
    assert rates == sorted(set(rates))
    assert crossing([ber(rate) for rate in rates], drops.mean(1)) == pytest.approx(1e-4, rel=0.05)


def test_rates_beyond_those_tried_are_the_last_one_tried() -> None:
    bers = [1e-4, 1e-3]
    assert crossing(bers, np.array([0.02, 0.03])) == 1e-4
    assert crossing(bers, np.array([0.0, 0.001])) == 1e-3


def test_resamples_spread_with_the_noise_and_hold_the_truth() -> None:
    noisy = found(1e-3, trials=24, noise=0.01)
    low, high = interval(resampled(noisy))
    assert low < 1e-3 < high
    assert high / low < 4
    quiet_low, quiet_high = interval(resampled(found(1e-3)))
    assert quiet_low == pytest.approx(quiet_high)


def test_ratios_are_to_the_geometric_mean_over_seeds() -> None:
    def row(points_at: float) -> dict[str, object]:
        return {"scenarios": {"int8 maps": found(points_at)}}

    networks = {
        "searched": [row(8e-3)], "resnet": [row(1e-3), row(4e-3)], "mobilenet_v2": [row(1e-3)], "from scratch": [row(8e-3)],
    }  # fmt: skip
    answer = compared(networks, "int8 maps")
    ratios = answer["ratios"]
    assert ratios["resnet"]["value"] == pytest.approx(4, rel=0.1)
    assert ratios["mobilenet_v2"]["value"] == pytest.approx(8, rel=0.1)
    assert ratios["from scratch"]["value"] == pytest.approx(1)
    assert answer["better_reference"] == "resnet"
    assert all(ratio["low"] <= ratio["value"] * 1.001 and ratio["value"] <= ratio["high"] * 1.001 for ratio in ratios.values())


def test_finalists_are_those_of_lowest_expected_change_within_reach_else_the_most_accurate() -> None:
    rows = [("a", 0.05, 30.0), ("b", 0.06, 20.0), ("c", 0.20, 1.0), *(("d", 0.03, 40.0 + i) for i in range(FINALISTS))]
    tried = [{"id": name, "error": error, "expected_change": change} for name, error, change in rows]
    assert [member["id"] for member in finalists(tried, 0.065)] == ["b", "a", *"d" * (FINALISTS - 2)]
    assert len(finalists(tried, 0.01)) == FINALISTS
    assert {member["id"] for member in finalists(tried, 0.01)} == {"d"}


def test_the_most_tolerant_within_the_limit_is_chosen_else_the_most_accurate() -> None:
    found = [
        {"id": "a", "trained_error": 0.02, "trained_tolerates": 1e-3},
        {"id": "b", "trained_error": 0.03, "trained_tolerates": 2e-3},
        {"id": "c", "trained_error": 0.04, "trained_tolerates": 9e-3},
    ]
    assert chosen(found, 0.03)["id"] == "b"
    assert chosen(found, 0.01)["id"] == "a"


def test_a_finalists_trainings_count_alike() -> None:
    (first, second) = averaged([{"id": "a"}, {"id": "b"}], [(0.01, 1e-3), (0.03, 4e-3), (0.02, 1e-4), (0.02, 1e-4)])
    assert (first["id"], second["id"]) == ("a", "b")
    assert first["trained_error"] == pytest.approx(0.02)
    assert first["trained_tolerates"] == pytest.approx(2e-3)
    assert second["trained_tolerates"] == pytest.approx(1e-4)


@pytest.mark.parametrize("image", [["t1"], ["image", "t1"]])
def test_maps_are_all_but_the_image_and_the_logits(image: list[str]) -> None:
    tensors = [*image, "t4", "t7", "logits"]
    formats = [TensorBits(name=name, layer=name, role=Role.ACTIVATION, size=64, format=INT8) for name in tensors]
    bench = SimpleNamespace(activations=Population(tensors=tuple(formats)))
    engine = SimpleNamespace(classes=np.zeros(4), disturbed=lambda masks: SimpleNamespace(classes=sorted(masks)))
    hit = answers(bench, engine, "maps", 0.3, np.random.default_rng(0))
    assert [tensors[number] for number in hit] == ["t4", "t7"]
    everything = answers(bench, engine, "activations", 0.3, np.random.default_rng(0))
    assert [tensors[number] for number in everything] == tensors
