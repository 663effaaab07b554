import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hwnas.errors import ConfigError, StoreError
from hwnas.resilience import (
    FLOAT32,
    INT8,
    Outcomes,
    Population,
    Role,
    Sampler,
    SamplingPlan,
    Stratum,
    TensorBits,
    stratify,
    unstratified,
)
from hwnas.resilience.sampling import EVEN, _Deck


def network(sizes: list[int], layout: object = FLOAT32) -> Population:
    return Population(
        tensors=tuple(
            TensorBits(name=f"w{i}", layer=f"layer {i}", role=Role.WEIGHT, size=size, format=layout)
            for i, size in enumerate(sizes)
        )
    )


def top_heavy(population: Population, rng: np.random.Generator) -> np.ndarray:
    """Drops in points of every bit: about 40 in bit 30, about 0.1 elsewhere."""
    top = population.locate(np.arange(population.size)).bits == 30
    return np.where(top, rng.normal(40, 15, population.size), rng.exponential(0.1, population.size))


def tell(sampler: Sampler, bits: np.ndarray, drops: np.ndarray, costs: np.ndarray | None = None) -> Outcomes:
    outcomes = Outcomes(bits=bits, values=drops[bits], costs=np.ones(len(bits)) if costs is None else costs[bits])
    sampler.tell(outcomes)
    return outcomes


def run(strata: tuple[Stratum, ...], plan: SamplingPlan, drops: np.ndarray, half_width: float) -> Sampler:
    sampler = Sampler(strata, plan)
    while not sampler.done(half_width):
        tell(sampler, sampler.ask().bits, drops)
    return sampler


@given(st.integers(1, 60), st.lists(st.integers(0, 20)), st.integers(0, 2**32))
@settings(deadline=None, derandomize=True)
def test_a_deck_deals_every_number_once_whatever_the_portions(size: int, portions: list[int], seed: int) -> None:
    whole = _Deck(size, np.random.default_rng(seed)).deal(size)
    assert sorted(whole) == list(range(size))
    deck, dealt = _Deck(size, np.random.default_rng(seed)), []
    for portion in portions:
        dealt += deck.deal(min(portion, size - len(dealt)))
    assert dealt == whole[: len(dealt)]


def test_plain_draws_are_uniform_over_bits_not_over_layers() -> None:
    population = network([3, 40], INT8)
    plan = SamplingPlan(seed=0, pilot=20)
    strata, hits = unstratified(population), np.zeros(population.size)
    for seed in range(2000):
        hits[Sampler(strata, SamplingPlan(seed=seed, pilot=20)).ask().bits] += 1
    # without replacement the counts vary less than multinomial ones, by the population correction
    statistic = ((hits - hits.mean()) ** 2 / hits.mean()).sum() / (1 - plan.pilot / population.size)
    assert 0.01 < stats.chi2(population.size - 1).sf(statistic) < 0.99


@pytest.mark.parametrize("cut", [stratify, unstratified])
def test_a_population_drawn_in_full_gives_the_exact_truth(cut: object) -> None:
    population = network([2, 3, 1], INT8)
    drops = np.random.default_rng(0).normal(0, 5, population.size)
    sampler = run(cut(population), SamplingPlan(seed=1), drops, 0.0)  # type: ignore[operator]
    estimate = sampler.estimate()
    assert estimate.n == population.size
    assert estimate.value == pytest.approx(drops.mean())
    assert estimate.half_width == pytest.approx(0, abs=1e-12)
    assert len(sampler.ask().bits) == 0


def test_no_stop_before_the_pilot_and_then_every_group_gets_its_share() -> None:
    population = network([50, 2000])
    strata, drops = stratify(population), top_heavy(population, np.random.default_rng(0))
    sampler = Sampler(strata, SamplingPlan(seed=0, batch=len(strata)))
    for _ in range(2):  # in batches
        assert not sampler.done(np.inf)
        tell(sampler, sampler.ask().bits, drops)
    assert sampler.sample().counts.tolist() == [2] * len(strata)
    assert sampler.done(np.inf)
    drawn = run(strata, SamplingPlan(seed=0), drops, 0.5).sample()
    counts = {(s.layer, s.group): n for s, n in zip(strata, drawn.counts, strict=True)}
    # calm as it looked, three quarters of the memory are not left alone; nor does their weight draw all
    assert counts["layer 1", "float32 mantissa"] > 0.4 * drawn.counts.sum()
    assert counts["layer 1", "float32 exponent top"] > 1.3 / 32 * drawn.counts.sum()


def test_what_is_calm_is_tried_in_proportion_to_what_a_fault_may_cost() -> None:
    population, tried = network([5000], INT8), []
    for largest in (100.0, 50.0):
        plan = SamplingPlan(seed=0, batch=1, largest_value=largest)
        tried.append(run(stratify(population), plan, np.zeros(population.size), 0.5).estimate())
    # so many that one sample in ten holds no fault that costs all, were there enough of them to cost half a point
    assert [estimate.n for estimate in tried] == pytest.approx([np.log(10) * 100 / 0.5, np.log(10) * 50 / 0.5], rel=0.1)
    assert [estimate.value for estimate in tried] == [0, 0]


def test_allocation_follows_weight_spread_and_cost() -> None:
    population = network([4000, 4000, 1000], INT8)
    places = population.locate(np.arange(population.size))
    drops = np.random.default_rng(0).normal(0, np.where(places.bits == 7, 4.0, 0.5))
    costs = np.where(places.tensors == 1, 4.0, 1.0)
    sampler = Sampler(stratify(population), SamplingPlan(seed=0, pilot=40, batch=500, largest_value=10.0))
    for _ in range(12):
        tell(sampler, sampler.ask().bits, drops, costs)
    counts = {(s.layer, s.group): n for s, n in zip(sampler.strata, sampler.sample().counts, strict=True)}
    even = EVEN * sampler.sample().counts.sum() * np.array([4000, 4000, 1000]) / 9000 / 8  # of one bit of each layer
    sign, top = (np.array([counts[f"layer {i}", f"int8 {group}"] for i in range(3)]) - even for group in ("sign", "top"))
    assert sign[0] / sign[1] == pytest.approx(2, rel=0.2)  # beyond the even part four times the cost, half the faults
    assert sign[0] / sign[2] == pytest.approx(4, rel=0.2)  # in proportion to size
    assert sign[0] / top[0] == pytest.approx(8, rel=0.3)  # and to the spread
    assert min(*sign, *top) > 0


@given(st.integers(0, 10**6), st.integers(1, 250), st.randoms(use_true_random=False))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_replaying_a_killed_campaign_goes_on_exactly(seed: int, killed_after: int, shuffler: object) -> None:
    population = network([20, 60, 5])
    strata, drops = stratify(population), top_heavy(population, np.random.default_rng(5))
    plan, sampler, told = SamplingPlan(seed=seed, batch=30), Sampler(strata, SamplingPlan(seed=seed, batch=30)), []
    while sum(len(outcomes.bits) for outcomes in told) < killed_after:
        bits = sampler.ask().bits.tolist()
        shuffler.shuffle(bits)  # type: ignore[attr-defined]
        told.append(tell(sampler, np.array(bits[:17]), drops))
    stored = Outcomes(*(), **{name: np.concatenate([getattr(o, name) for o in told]) for name in ("bits", "values", "costs")})
    resumed = Sampler.replay(strata, plan, stored)
    np.testing.assert_array_equal(resumed.ask().bits, sampler.ask().bits)
    for each in (sampler, resumed):
        while not each.done(0.5):
            tell(each, each.ask().bits, drops)
    assert resumed.estimate() == sampler.estimate()


def test_equal_outcomes_have_an_interval_of_what_stayed_unseen() -> None:
    population = network([5000], INT8)
    sampler = run(unstratified(population), SamplingPlan(seed=0), np.zeros(population.size), 1.0)
    estimate = sampler.estimate()
    assert 0.6 < estimate.half_width <= 1.0
    assert estimate.value == 0.0
    # of faults that cost all, so many would have to be hidden that one sample in ten holds none of them
    hidden = estimate.half_width / 100
    assert (1 - hidden) ** estimate.n == pytest.approx(0.1, rel=0.05)


def test_no_batch_begins_behind_the_largest_number_of_faults_but_the_pilot() -> None:
    population = network([500, 500])
    drops = top_heavy(population, np.random.default_rng(0))
    sampler = run(stratify(population), SamplingPlan(seed=0, max_faults=300), drops, 0.0)
    assert sampler.estimate().n == 20 + 5 * 64  # of which 300 is in the last
    assert run(stratify(population), SamplingPlan(seed=0, max_faults=1), drops, 0.0).estimate().n == 20


@pytest.mark.parametrize("limit", [1, 150, 212, 300])
def test_a_larger_limit_goes_on_as_if_it_had_been_there_and_a_smaller_one_keeps_what_was_tried(limit: int) -> None:
    population = network([500, 500])
    strata, drops = stratify(population), top_heavy(population, np.random.default_rng(0))
    costs = np.where(np.arange(population.size) < population.size // 2, 5.0, 1.0)

    def go_on(sampler: Sampler) -> list[Outcomes]:
        told = []
        while not sampler.done(0.0):
            told.append(tell(sampler, sampler.ask().bits, drops, costs))
        return told

    for seed in range(5):
        stopped, whole = (Sampler(strata, SamplingPlan(seed=seed, max_faults=most)) for most in (limit, 500))
        told = go_on(stopped)
        stored = Outcomes(**{name: np.concatenate([getattr(o, name) for o in told]) for name in ("bits", "values", "costs")})
        resumed = Sampler.replay(strata, whole.plan, stored)
        go_on(whole), go_on(resumed)
        np.testing.assert_array_equal(resumed.sample().values, whole.sample().values)
        assert resumed.estimate() == whole.estimate()
        lowered = Sampler.replay(strata, SamplingPlan(seed=seed, max_faults=1), stored)
        assert lowered.done(0.0)
        assert lowered.estimate() == stopped.estimate()


def test_faults_not_asked_for_are_refused_and_change_nothing() -> None:
    population = network([50])
    drops = np.zeros(population.size)
    sampler = Sampler(stratify(population), SamplingPlan(seed=0))
    asked = sampler.ask().bits
    stranger = np.setdiff1d(np.arange(population.size), asked)[:1]
    for wrong in (stranger, np.repeat(asked[:1], 2)):
        with pytest.raises(StoreError, match="another model, plan or seed"):
            tell(sampler, np.concatenate([asked[1:2], wrong]), drops)
    np.testing.assert_array_equal(sampler.ask().bits, asked)
    outcomes = tell(sampler, asked, drops)
    with pytest.raises(StoreError):
        sampler.tell(outcomes)
    with pytest.raises(StoreError):
        Sampler.replay(stratify(population), SamplingPlan(seed=1), outcomes)


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="pilot"):
        SamplingPlan(seed=0, pilot=1)
    with pytest.raises(ConfigError, match="above 0"):
        SamplingPlan(seed=0, largest_value=0.0)
    with pytest.raises(ConfigError, match="seed"):
        SamplingPlan(seed=-1)
    with pytest.raises(ConfigError, match="finite"):
        Outcomes(bits=np.array([1]), values=np.array([np.nan]), costs=np.array([1.0]))
    with pytest.raises(ConfigError, match="one value"):
        Outcomes(bits=np.array([1, 2]), values=np.array([0.0]), costs=np.array([1.0]))
    with pytest.raises(ConfigError, match="pilot"):
        Sampler(stratify(network([9])), SamplingPlan(seed=0)).estimate()
