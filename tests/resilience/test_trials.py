"""Kinds of trials: their shares and draws are those of plain bit errors; the area they give is covered, with the stop rule on."""

from collections.abc import Callable

import numpy as np
import pytest

from hwnas.errors import ConfigError
from hwnas.resilience import (
    FLOAT32,
    INT8,
    INT32,
    BitErrors,
    Curve,
    Population,
    Role,
    TensorBits,
    TrialKind,
    TrialPlan,
    area_weights,
    draw_bit_errors,
    next_trials,
    pilot_left,
    plain_kinds,
    trial_moments,
)

CLEAN, CHANCE = 0.7, 0.1
BERS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3)


def population(**sizes: int) -> Population:
    formats = {layout.name: layout for layout in (FLOAT32, INT8, INT32)}
    return Population(
        tensors=tuple(
            TensorBits(name=name, layer=name, role=Role.WEIGHT, size=size, format=formats[name]) for name, size in sizes.items()
        )
    )


def is_heavy(hit: Population, bits: np.ndarray) -> np.ndarray:
    places = hit.locate(bits)
    names = np.array([tensor.format.name for tensor in hit.tensors])[places.tensors]
    return ((names == "float32") & (places.bits == 30)) | ((names == "int32") & (places.bits >= 24))


@pytest.mark.parametrize("sizes", [{"float32": 40}, {"int8": 300, "int32": 12}, {"int8": 200}])
def test_kinds_put_together_are_plain_bit_errors(sizes: dict[str, int]) -> None:
    hit, rng, trials = population(**sizes), np.random.default_rng(0), 1500
    for number, ber in enumerate((1e-4, 1e-3, 2e-2)):
        errors = BitErrors(hit, (1e-4, 1e-3, 2e-2))
        plain = [draw_bit_errors(hit, ber, rng) for _ in range(trials)]
        of = {kind.name: kind for kind in errors.kinds if kind.rate == number}
        heavy = np.array([is_heavy(hit, bits).any() for bits in plain])
        light = np.array([len(bits) > 0 for bits in plain]) & ~heavy
        for name, seen in (("heavy", heavy), ("light", light)):
            share = of[name].share if name in of else 0.0
            assert seen.mean() == pytest.approx(share, abs=4 * (share / trials) ** 0.5)
        flips = 0.0
        for kind in of.values():
            drawn = [errors.draw(kind, rng) for _ in range(300)]
            assert all(len(set(bits.tolist())) == len(bits) > 0 for bits in drawn)
            assert all(is_heavy(hit, bits).any() == (kind.name == "heavy") for bits in drawn)
            flips += kind.share * float(np.mean([len(bits) for bits in drawn]))
        assert flips == pytest.approx(hit.size * ber, rel=0.15)


def test_at_rate_one_every_bit_flips() -> None:
    hit = population(float32=3)
    errors = BitErrors(hit, (0.5, 1.0))
    (last,) = [kind for kind in errors.kinds if kind.rate == 1]
    assert last == TrialKind(rate=1, name="heavy", share=1.0)
    assert sorted(errors.draw(last, np.random.default_rng(0)).tolist()) == list(range(hit.size))


Draw = Callable[[TrialKind, np.random.Generator], float]


def fate(heavy: float, light: float, wear: float) -> Draw:
    """A trial's accuracy: each heavy or light hit destroys most with these probabilities, all others wear it down."""

    def draw(kind: TrialKind, rng: np.random.Generator) -> float:
        expected = BERS[kind.rate] * 78_000
        hits = 1 + rng.poisson(expected) if kind.name == "heavy" else 0
        others = rng.poisson(31 * expected) + (kind.name == "light")
        dead = rng.binomial(hits, heavy) + rng.binomial(others, light)
        left = (rng.beta(0.5, 3) if rng.random() < 0.7 else CHANCE) if dead else np.exp(-others * wear * rng.lognormal(0, 0.3))
        return float(np.round(CLEAN * left * 50) / 50)

    return draw


@pytest.mark.parametrize(
    ("heavy", "light", "wear", "half_width"),
    [(0.6, 0.0, 0.0, 1.5), (0.6, 0.003, 0.0, 1.5), (0.05, 0.0005, 0.0, 1.5), (0.0, 2e-4, 2e-4, 1.0), (0.0, 0.0, 2e-4, 0.5)],
)
def test_the_area_is_covered_with_the_stop_rule(heavy: float, light: float, wear: float, half_width: float) -> None:
    draw, rng = fate(heavy, light, wear), np.random.default_rng(0)
    kinds = BitErrors(population(float32=78_000), BERS).kinds
    pools = [np.array([draw(kind, rng) for _ in range(400)]) for kind in kinds]  # all the trials there are
    truth = Curve(bers=BERS, kinds=kinds, trials=tuple(pools), clean=CLEAN, chance=CHANCE).area().value
    campaigns, held, errors = 150, 0, []
    for seed in range(campaigns):
        chance, told = np.random.default_rng(seed), [np.zeros(0) for _ in kinds]
        while True:
            moments = trial_moments(kinds, area_weights(BERS), told, CLEAN)
            counts = next_trials(kinds, moments, np.ones(len(kinds)), TrialPlan())
            told = [np.append(old, chance.choice(pool, n)) for old, pool, n in zip(told, pools, counts, strict=True)]
            area = Curve(bers=BERS, kinds=kinds, trials=tuple(told), clean=CLEAN, chance=CHANCE).area()
            if 100 * area.half_width <= half_width or not counts.any():
                break
        held += area.low <= truth <= area.high
        errors.append(100 * (area.value - truth))
    assert held / campaigns >= 0.93
    assert abs(np.mean(errors)) <= 3 * np.std(errors) / campaigns**0.5 + 0.1 * half_width


def test_trials_go_where_they_tell_most_a_cost() -> None:
    kinds, weights = plain_kinds(3), np.full(3, 1 / 3)
    rng = np.random.default_rng(0)
    told = [CLEAN + spread * rng.standard_normal(20) for spread in (0.001, 0.2, 0.2)]
    moments = trial_moments(kinds, weights, told, CLEAN)
    assert not pilot_left(moments, TrialPlan()).any()
    counts = next_trials(kinds, moments, np.array([1.0, 1.0, 4.0]), TrialPlan(batch=60))
    assert counts.sum() == 60
    assert counts[1] > 1.5 * counts[2]
    assert counts[1] > counts[0]
    assert not next_trials(kinds, moments, np.ones(3), TrialPlan(limit=60)).any()
    assert next_trials(kinds, trial_moments(kinds, weights, [[]] * 3, CLEAN), np.ones(3), TrialPlan()).tolist() == [20] * 3


@pytest.mark.parametrize("wrong", [{"rate": -1}, {"share": 0.0}, {"share": 1.5}])
def test_kinds_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        TrialKind(**{"rate": 0, "name": "all", "share": 1.0, **wrong})
