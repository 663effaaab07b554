import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.pareto import AddStatus, ParetoArchive, Resolution, boxes, front

RESOLUTIONS = (Resolution(size=2.0), Resolution(size=0.3, relative=True), Resolution())
Row = tuple[tuple[float, ...], tuple[float, ...]]
VALUE = st.integers(0, 8).map(float)
ROWS: st.SearchStrategy[list[Row]] = st.lists(
    st.tuples(st.tuples(VALUE, VALUE, VALUE), st.tuples(st.integers(0, 2).map(float))), max_size=30
)


def brute_front(rows: list[Row]) -> set[str]:
    """Row i is in unless another row's box dominates its box, or shares it with a better (tie, id)."""
    if not rows:
        return set()
    grid = boxes([values for values, _ in rows], RESOLUTIONS)
    keys = [(tie, f"g{index}") for index, (_, tie) in enumerate(rows)]

    def beats(a: int, b: int) -> bool:
        same = bool((grid[a] == grid[b]).all())
        return keys[a] < keys[b] if same else bool((grid[a] <= grid[b]).all())

    return {keys[b][1] for b in range(len(rows)) if not any(beats(a, b) for a in range(len(rows)) if a != b)}


def filled(rows: list[Row], order: list[int]) -> ParetoArchive:
    archive = ParetoArchive(RESOLUTIONS)
    for index in order:
        archive.add(f"g{index}", *rows[index])
    return archive


@settings(deadline=None)
@given(rows=ROWS, data=st.data())
def test_the_archive_is_a_function_of_the_set(rows: list[Row], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    archive = filled(rows, order)
    ids = [f"g{index}" for index in order]
    points = np.array([rows[index][0] for index in order]).reshape(-1, 3)
    defined = front(ids, points, [rows[index][1] for index in order], RESOLUTIONS)
    assert archive.ids == defined
    assert set(defined) == brute_front(rows)
    assert archive.points.tolist() == [list(rows[int(name[1:])][0]) for name in archive.ids]


@settings(deadline=None, max_examples=25)
@given(rows=st.lists(st.tuples(st.tuples(VALUE, VALUE, VALUE), st.tuples(VALUE)), min_size=1, max_size=5))
def test_every_order_of_a_few_candidates_gives_the_same_front(rows: list[Row]) -> None:
    expected = brute_front(rows)
    for order in itertools.permutations(range(len(rows))):
        assert set(filled(rows, list(order)).ids) == expected


@settings(deadline=None)
@given(rows=ROWS)
def test_reports_add_up_to_the_members(rows: list[Row]) -> None:
    archive = ParetoArchive(RESOLUTIONS)
    members: set[str] = set()
    for index, row in enumerate(rows):
        report = archive.add(f"g{index}", *row)
        assert set(report.removed) <= members
        members -= set(report.removed)
        if report.accepted:
            members.add(f"g{index}")
        else:
            assert report.removed == ()
        assert members == set(archive.ids)
        assert len(members) == len(archive)


def test_each_status_means_what_it_says() -> None:
    archive = ParetoArchive([Resolution(size=1.0), Resolution(size=1.0)])
    steps = [
        ("a", (5.5, 5.5), (0.3,), AddStatus.ADDED, ()),
        ("b", (7.0, 2.0), (0.9,), AddStatus.ADDED, ()),
        ("c", (5.1, 5.1), (0.3,), AddStatus.BOX_TAKEN, ()),  # smaller in both, but not by a box: id decides
        ("d", (5.9, 5.9), (0.2,), AddStatus.REPLACED, ("a",)),
        ("e", (6.0, 5.0), (0.0,), AddStatus.DOMINATED, ()),
        ("f", (5.0, 1.0), (0.8,), AddStatus.ADDED, ("b", "d")),
    ]
    for name, values, tie, status, removed in steps:
        report = archive.add(name, values, tie)
        assert (report.status, set(report.removed)) == (status, set(removed)), name
    assert archive.ids == ("f",)
    assert archive.points.tolist() == [[5.0, 1.0]]


def test_measuring_one_network_again_and_again_does_not_grow_the_front() -> None:
    rng = np.random.default_rng(0)
    measured = np.array([0.05, 1.0]) * (1 + 0.01 * rng.standard_normal((200, 2)))
    names, ties = [f"g{index}" for index in range(200)], [(0.0,)] * 200
    noise_aware = [Resolution(size=0.1, relative=True)] * 2
    assert len(front(names, measured, ties, [Resolution()] * 2)) > 4
    assert len(front(names, measured, ties, noise_aware)) <= 2  # the truth may lie on the edge of a box


def test_what_cannot_be_compared_is_refused_and_changes_nothing() -> None:
    archive = ParetoArchive([Resolution(), Resolution()])
    archive.add("a", (1.0, 2.0), (0.0,))
    with pytest.raises(ValueError, match="finite"):
        archive.add("b", (np.nan, 0.0), (0.0,))
    with pytest.raises(ValueError, match="one resolution for each of 3"):
        archive.add("b", (0.0, 0.0, 0.0), (0.0,))
    with pytest.raises(ValueError, match="a is a member already"):
        archive.add("a", (1.0, 2.0), (0.0,))
    assert archive.ids == ("a",)
    with pytest.raises(ValueError, match="2 ids \\(1 different\\)"):
        front(["a", "a"], [[1.0], [2.0]], [(0.0,), (0.0,)], [Resolution()])
    with pytest.raises(ValueError, match="1 ties and 2 points"):
        front(["a", "b"], [[1.0], [2.0]], [(0.0,)], [Resolution()])


def test_adding_to_a_front_of_two_thousand_takes_well_under_a_millisecond() -> None:
    rng = np.random.default_rng(1)
    directions = np.abs(rng.standard_normal((2300, 4))) + 1e-3
    sphere = 2 - directions / np.linalg.norm(directions, axis=1, keepdims=True)  # mutually non-dominated
    archive = ParetoArchive([Resolution()] * 4)
    for index, values in enumerate(sphere[:2000]):
        archive.add(f"g{index}", values, (0.0,))
    assert len(archive) == 2000
    durations = []
    for index, values in enumerate(np.concatenate((sphere[2000:], sphere[:300] + 0.01))):
        start = time.perf_counter()
        archive.add(f"h{index}", values, (0.0,))
        durations.append(time.perf_counter() - start)
    assert np.median(durations) < 1e-3
