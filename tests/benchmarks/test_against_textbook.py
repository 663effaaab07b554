from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from against_textbook import DATA_SETS, commands, judged, seeds_to_run, summary
from two_hours import figures


def network(name: str, test_error: float, latency_ms: float, parameters: int) -> dict[str, Any]:
    return {
        "name": name,
        "validation_error": test_error,
        "test_error": test_error,
        "latency_ms": latency_ms,
        "parameters": parameters,
    }


def row(seed: int, front_error: float) -> dict[str, Any]:
    return {
        "data_set": "cifar10",
        "seed": seed,
        "guessing_error": 0.9,
        "textbook": [network("t", 0.2, 1.0, 1000)],
        "front": [network("f", front_error, 0.5, 2000)],
        "final_training_pairs": [[0.5, 0.3], [0.4, 0.2], [0.3, 0.1]],
    }


def arguments(**changes: Any) -> Any:
    return SimpleNamespace(**{"data_set": "cifar10", "seed": None, "summarise": False} | changes)


def test_a_seed_is_judged_by_latency_and_by_parameters() -> None:
    figures = judged(row(0, 0.15))
    assert figures["dominated_share"] == 1
    assert figures["error_gain_points"] == pytest.approx(5)
    assert figures["dominated_share_parameters"] == 0
    assert figures["error_gain_points_parameters"] == pytest.approx(-70)


def test_figures_are_medians_over_the_seeds() -> None:
    found = summary([row(seed, error) for seed, error in enumerate((0.10, 0.15, 0.30))])
    assert found["medians"]["error_gain_points"] == pytest.approx(5)
    assert found["medians"]["dominated_share"] == 1
    assert (found["rank_correlation"], found["rank_correlation_networks"]) == (pytest.approx(1), 9)


def test_a_run_makes_what_is_missing_and_a_named_seed_anew() -> None:
    rows = [row(1, 0.2)]
    assert seeds_to_run(arguments(), rows) == [0, 2]
    assert seeds_to_run(arguments(seed=1), rows) == [1]
    assert seeds_to_run(arguments(summarise=True), rows) == []
    assert seeds_to_run(arguments(data_set="gtsrb"), rows) == [0]


def test_both_sides_are_told_the_same_data_time_and_seed(tmp_path) -> None:
    sides = commands(DATA_SETS["gtsrb"], 2, 1800.0, tmp_path)
    for side in sides.values():
        told = dict(pairwise(side))
        assert (told["--data"], told["--group-by"], told["--seed"]) == ("../shared/data/gtsrb", r"path:^\d+/\d+_", "2")
    assert "1800s" in sides["search"]
    assert "1800" in sides["textbook"]


def test_two_hours_reads_the_sizes_of_its_goals() -> None:
    rows = [
        {"parameters": 90_000, "error": 0.1, "test_error": 0.13},
        {"parameters": 250_000, "error": 0.1, "test_error": 0.09},
        {"parameters": 10, "error": 0.0, "test_error": None},
    ]
    found = figures(rows)
    assert (found["error_100k"], found["error_300k"], found["error_300k_chosen"]) == (0.13, 0.09, 0.13)
