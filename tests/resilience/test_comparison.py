"""Which differences are real: Welch's test, pairs where the same bits were hit, Holm's correction, ranks."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hwnas.resilience import Curve, TrialKind, area_differences, holm, independent_differences, mean, rank_intervals


def test_holm_on_a_worked_example() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1.0, 1.0])
    assert holm([]).shape == (0,)


def test_independent_p_values_are_welchs() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0, 1, 9), rng.normal(1.5, 4, 25)
    (difference,) = independent_differences([mean(first), mean(second)])
    welch = stats.ttest_ind(first, second, equal_var=False)
    assert difference.p_value == difference.p_holm == pytest.approx(welch.pvalue)
    interval = welch.confidence_interval()
    assert (difference.estimate.low, difference.estimate.high) == pytest.approx((interval.low, interval.high))


def test_equal_networks_rarely_differ_over_all_pairs_together() -> None:
    rng = np.random.default_rng(2)
    tried = [independent_differences([mean(row) for row in rng.normal(size=(5, 12))]) for _ in range(300)]
    assert np.mean([any(d.real for d in differences) for differences in tried]) <= 0.07
    assert np.mean([any(d.p_value < 0.05 for d in differences) for differences in tried]) > 0.15  # without the correction


def test_ranks_are_sure_where_networks_are_far_apart() -> None:
    samples = np.random.default_rng(3).normal([0, 10, 10.1, 20], 1, (500, 4))
    ranks = rank_intervals([0, 10, 10.1, 20], samples)
    assert [(rank.value, rank.low, rank.high) for rank in ranks] == [(1, 1, 1), (2, 2, 3), (3, 2, 3), (4, 4, 4)]


def test_identical_outcomes_and_constant_gaps() -> None:
    one, two = mean([1.0, 1.0]), mean([2.0, 2.0])
    assert independent_differences([one, one])[0].p_value == 1.0
    assert independent_differences([one, two])[0].p_value == 0.0


BERS, CLEAN, CHANCE = (1e-6, 1e-4, 1e-3), (0.9, 0.8), 0.1
SHARES = ((1, "light", 0.5), (2, "light", 0.7), (2, "heavy", 0.3))
KINDS = tuple(TrialKind(rate=rate, name=name, share=share) for rate, name, share in SHARES)
FATAL = ((0.02, 0.1, 0.6), (0.02, 0.07, 0.5))  # for either network: how often a trial of a kind takes all it knows


def outcomes(rng: np.random.Generator, trials: int, common: float = 1.0) -> list[list[NDArray[np.float64]]]:
    """Accuracies of two networks: with probability ``common`` a trial is as bad for both as the same bits make it."""
    found: list[list[NDArray[np.float64]]] = [[], []]
    for kind in range(len(KINDS)):
        bits, wear = rng.random(trials), 0.1 * rng.random(trials)
        for network, accuracies in enumerate(found):
            own = rng.random(trials) >= common
            fatal = np.where(own, rng.random(trials), bits) < FATAL[network][kind]
            kept = np.where(fatal, 0.0, 1 - wear - 0.01 * rng.random(trials))
            accuracies.append(CHANCE + (CLEAN[network] - CHANCE) * kept)
    return found


def curve(trials: list[NDArray[np.float64]], clean: float) -> Curve:
    return Curve(bers=BERS, kinds=KINDS, trials=tuple(trials), clean=clean, chance=CHANCE)


def curves(rng: np.random.Generator, counts: tuple[int, int], common: float = 1.0) -> list[Curve]:
    both = outcomes(rng, max(counts), common)
    return [
        curve([each[:count] for each in trials], clean)
        for trials, count, clean in zip(both, counts, CLEAN, strict=True)
    ]


def test_trials_of_the_same_bits_are_pairs_and_their_interval_holds_the_truth() -> None:
    one, other = (each.area().value for each in curves(np.random.default_rng(0), (200_000, 200_000)))
    held, widths = [], []
    for seed in range(300):
        rng = np.random.default_rng([1, seed])
        found = curves(rng, (int(rng.integers(60, 90)), int(rng.integers(60, 90))))  # each stops when it knows enough
        (paired,), (apart,) = area_differences(found, ["x", "x"]), area_differences(found, ["x", "y"])
        assert paired.paired
        assert not apart.paired
        held.append(paired.estimate.low <= one - other <= paired.estimate.high)
        widths.append(paired.estimate.half_width / apart.estimate.half_width)
    assert np.mean(held) >= 0.93
    assert np.mean(widths) < 0.5


def test_networks_that_are_alike_rarely_differ_in_pairs() -> None:
    def alike(seed: int) -> float:
        (first, second), clean = outcomes(np.random.default_rng([2, seed]), 80, 0.8), CLEAN[0]
        swap = np.random.default_rng([3, seed]).random(80) < 0.5  # neither is better on the average
        second = [CHANCE + (each - CHANCE) * (clean - CHANCE) / (CLEAN[1] - CHANCE) for each in second]
        mixed = [[np.where(swap, a, b) for a, b in zip(*order, strict=True)] for order in ((first, second), (second, first))]
        return area_differences([curve(trials, clean) for trials in mixed], ["x", "x"])[0].p_value

    assert np.mean([alike(seed) < 0.05 for seed in range(300)]) <= 0.07


def test_networks_of_other_bits_are_compared_as_before_and_holm_is_over_all_pairs() -> None:
    rng = np.random.default_rng(4)
    first, second = curves(rng, (80, 80))
    third = curves(rng, (80, 80))[1]
    found = area_differences([first, second, third], ["x", "x", "y"])
    assert [(each.first, each.second, each.paired) for each in found] == [(0, 1, True), (0, 2, False), (1, 2, False)]
    apart = independent_differences([each.area() for each in (first, second, third)])
    assert [each.estimate for each in found[1:]] == [each.estimate for each in apart[1:]]
    assert found[0].estimate.half_width < apart[0].estimate.half_width
    assert [each.p_holm for each in found] == pytest.approx(holm([each.p_value for each in found]).tolist())


def test_pairs_that_tell_less_are_not_used() -> None:
    rng = np.random.default_rng(5)
    few = curves(rng, (800, 20), common=0.3)  # little is shared, and most trials have no partner
    same = curves(rng, (80, 80))[0]
    for pair in (few, [same, same]):
        (found,) = area_differences(pair, ["x", "x"])
        assert not found.paired
        assert found.estimate == independent_differences([each.area() for each in pair])[0].estimate
        assert found.estimate.half_width > 0
