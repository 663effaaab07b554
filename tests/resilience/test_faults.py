import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hwnas.errors import ConfigError
from hwnas.resilience import (
    FLOAT16,
    FLOAT32,
    INT8,
    Burst,
    Fault,
    FaultKind,
    Population,
    Replaced,
    Role,
    Single,
    TensorBits,
    disturbed,
    draw_bit_errors,
)

RNG = np.random.default_rng(0)
NET = Population(
    tensors=(
        TensorBits(name="a", layer="a", role=Role.WEIGHT, size=30, format=FLOAT32),
        TensorBits(name="b", layer="b", role=Role.WEIGHT, size=3, format=FLOAT16),
        TensorBits(name="q", layer="q", role=Role.WEIGHT, size=20, format=INT8),
    )
)
INDEX = st.integers(0, NET.size - 1)


def test_bit_errors_are_binomial_in_number_distinct_and_uniform() -> None:
    trials = [draw_bit_errors(NET, 0.05, np.random.default_rng([3, trial])) for trial in range(3000)]
    assert all(len(set(trial.tolist())) == len(trial) for trial in trials)
    counts = np.array([len(trial) for trial in trials])
    expected = stats.binom(NET.size, 0.05)
    edges = expected.ppf(np.linspace(0, 1, 9)[1:-1])
    seen = np.bincount(np.searchsorted(edges, counts, side="left"), minlength=8)
    probable = np.diff(np.concatenate([[0], expected.cdf(edges), [1]]))
    assert stats.chisquare(seen, probable * len(trials)).pvalue > 0.01
    hits = np.bincount(np.concatenate(trials), minlength=NET.size)
    assert stats.chisquare(hits).pvalue > 0.01


def test_bit_errors_at_the_ends_and_beyond() -> None:
    assert len(draw_bit_errors(NET, 0.0, RNG)) == 0
    assert sorted(draw_bit_errors(NET, 1.0, RNG).tolist()) == list(range(NET.size))
    for ber in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match=r"\[0, 1\]"):
            draw_bit_errors(NET, ber, RNG)


@given(INDEX)
@settings(deadline=None, derandomize=True)
def test_a_single_fault_is_the_bit_drawn_and_flips_back(index: int) -> None:
    (fault,) = Single().at(NET, index, RNG)
    assert NET.index(tensor=fault.tensor, element=fault.element, bit=fault.bits[0]) == index
    layout = next(tensor.format for tensor in NET.tensors if tensor.name == fault.tensor)
    values = layout.encode(np.array([0.75]))
    (difference,) = layout.words(values) ^ layout.words(fault.applied(values, layout))
    assert int(difference).bit_count() == 1
    np.testing.assert_array_equal(fault.applied(fault.applied(values, layout), layout), values)


def test_stuck_at_is_effective_where_the_bit_had_the_other_level() -> None:
    values = np.array([0, -1, 5, 5], np.int8)
    masks = np.array([0xFF, 0xFF, 0x01, 0x02], np.uint8)
    stuck = {kind: disturbed(values, masks, INT8, kind=kind) for kind in (FaultKind.STUCK_AT_0, FaultKind.STUCK_AT_1)}
    assert stuck[FaultKind.STUCK_AT_0].tolist() == [0, 0, 4, 5]
    assert stuck[FaultKind.STUCK_AT_1].tolist() == [-1, -1, 5, 7]


@given(INDEX, st.integers(1, 8))
@settings(deadline=None, derandomize=True)
def test_a_burst_of_bits_is_adjacent_and_inside_its_word(index: int, length: int) -> None:
    (fault,) = Burst(length=length).at(NET, index, RNG)
    (single,) = Single().at(NET, index, RNG)
    assert (fault.tensor, fault.element) == (single.tensor, single.element)
    assert list(fault.bits) == list(range(fault.bits[0], fault.bits[0] + length))
    assert single.bits[0] in fault.bits
    assert fault.bits[-1] < next(tensor.format.bits for tensor in NET.tensors if tensor.name == fault.tensor)


@given(INDEX, st.integers(1, 5))
@settings(deadline=None, derandomize=True)
def test_a_burst_of_words_hits_one_bit_of_neighbours(index: int, length: int) -> None:
    faults = Burst(length=length, across="words").at(NET, index, RNG)
    (single,) = Single().at(NET, index, RNG)
    size = next(tensor.size for tensor in NET.tensors if tensor.name == single.tensor)
    elements = [fault.element for fault in faults]
    assert elements == list(range(elements[0], elements[0] + min(length, size)))
    assert single.element in elements
    assert elements[-1] < size
    assert {(fault.tensor, fault.bits) for fault in faults} == {(single.tensor, single.bits)}


def test_replaced_values_are_zero_or_uniform_and_replayable() -> None:
    (zero,) = Replaced(kind=FaultKind.ZERO).at(NET, 0, RNG)
    assert zero.applied(np.array([3.0], np.float32), FLOAT32).tolist() == [0.0]
    drawn = [Replaced().at(NET, 5, np.random.default_rng(seed))[0] for seed in range(200)]
    assert drawn[7] == Replaced().at(NET, 5, np.random.default_rng(7))[0]
    assert stats.kstest([fault.value for fault in drawn], stats.uniform(-1, 2).cdf).pvalue > 0.01
    assert drawn[0].applied(np.zeros(1, np.float32), FLOAT32)[0] == np.float32(drawn[0].value)


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="floating-point"):
        Replaced().at(NET, NET.size - 1, RNG)
    with pytest.raises(ConfigError, match="8 bits"):
        Burst(length=9).at(NET, NET.size - 1, RNG)
    for wrong in (lambda: Burst(length=0), lambda: Single(kind=FaultKind.ZERO), lambda: Replaced(kind=FaultKind.FLIP)):
        with pytest.raises(ConfigError):
            wrong()
    with pytest.raises(ConfigError, match="ascending"):
        Fault(kind=FaultKind.FLIP, tensor="a", element=0, bits=(3, 1))
    with pytest.raises(ConfigError, match="random value"):
        Fault(kind=FaultKind.FLIP, tensor="a", element=0, bits=(3,), value=1.0)
    with pytest.raises(ConfigError, match=r"Fault\.applied"):
        disturbed(np.zeros(1, np.int8), 1, INT8, kind=FaultKind.ZERO)
