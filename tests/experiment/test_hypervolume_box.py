"""The hypervolume that a run reports of itself."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.experiment.hypervolume_box import HypervolumeBox
from hwnas.objective import comparison_row
from hwnas.objectives import OBJECTIVES
from hwnas.pareto import Resolution, front

NETWORKS = st.lists(
    st.builds(
        lambda error, parameters: {"error": error, "parameters": float(parameters)},
        st.floats(0.0, 1.0),
        st.integers(10, 10_000),
    ),
    min_size=1,
    max_size=8,
)


def yardstick(first: list[dict[str, float]], most: float | None) -> HypervolumeBox:
    return HypervolumeBox.of([dataclasses.replace(OBJECTIVES["error"], upper_bound=most), OBJECTIVES["parameters"]], first)


@given(NETWORKS, st.none() | st.floats(0.01, 1.0))
def test_it_never_falls_while_networks_come_and_counts_only_those_of_use(
    networks: list[dict[str, float]], most: float | None
) -> None:
    stick, before = yardstick(networks[:1], most), 0.0
    for count in range(1, len(networks) + 1):
        rows = [comparison_row(values, stick.objectives) for values in networks[:count]]
        ids = [str(number) for number in range(count)]
        members = front(ids, rows, [(values["error"], values["parameters"]) for values in networks[:count]], [Resolution()] * 2)
        now = stick.hypervolume([networks[int(member)] for member in members])
        assert before - 1e-12 <= now <= 1.0
        if not any(stick.objectives[0].allows(values["error"]) for values in networks[:count]):
            assert now == 0.0
        before = now


def test_its_box_ends_at_the_largest_error_of_use() -> None:
    first = [{"error": 0.5, "parameters": 1000.0}]
    assert yardstick(first, None).hypervolume(first) == pytest.approx(0.5 * 0.5)
    assert yardstick(first, 0.4).hypervolume(first) == 0.0
    assert yardstick(first, 0.4).hypervolume([{"error": 0.1, "parameters": 1000.0}]) == pytest.approx(0.75 * 0.5)
