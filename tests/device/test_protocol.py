"""The latency protocol of agent.py on a simulated machine: a clock that only the runs move."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hwnas.device import agent
from hwnas.device.latency import Latency

MODEL_NS, REFERENCE_NS, SLICE_NS = 400_000, 200_000, 1_500_000
NOMINAL_MS = REFERENCE_NS / 1e6


class Machine:
    """Runs that take their nominal time x slowdown(now) x noise, and may wait for a core; nothing else takes time."""

    def __init__(
        self,
        slowdown: Callable[[float], float] = lambda now_s: 1.0,
        noise: float = 0.01,
        neighbours: int = 0,
        seed: int = 0,
    ) -> None:
        self.now_ns = self.waited_ns = 0
        self.runs: list[str] = []
        self.timer = agent.Timer(self.clock, lambda: self.waited_ns)
        self._slowdown, self._noise, self._neighbours = slowdown, noise, neighbours
        self._rng = np.random.default_rng(seed)

    def clock(self) -> int:
        return self.now_ns

    def run(self, name: str, nominal_ns: int) -> Callable[[], None]:
        def once() -> None:
            self.runs.append(name)
            factor = self._slowdown(self.now_ns / 1e9) * math.exp(self._noise * self._rng.standard_normal())
            own_ns = max(1, round(nominal_ns * factor))
            waiting_ns = SLICE_NS * self._neighbours * int(self._rng.poisson(own_ns / SLICE_NS))
            self.waited_ns += waiting_ns
            self.now_ns += own_ns + waiting_ns

        return once

    def measure(self, half_width: float = 0.02, time_limit_s: float = 10.0, model_ns: int = MODEL_NS) -> Latency:
        blocks = agent.alternate(
            self.run("model", model_ns), self.run("reference", REFERENCE_NS), self.timer, half_width, time_limit_s
        )
        own_ms, wall_ms = np.concatenate(blocks.samples_ms, axis=1)
        answer = {
            "blocks_ms": [np.median(samples[0]) for samples in blocks.samples_ms],
            "reference_ms": blocks.reference_ms,
            "percentiles_ms": np.percentile(own_ms, (50, 90, 99)),
            "raw_ms": float(np.median(wall_ms)),
            "waiting": float(1 - own_ms.sum() / wall_ms.sum()),
            "samples": len(own_ms),
            "runs_per_sample": blocks.runs_per_sample,
            "elapsed_s": blocks.elapsed_s,
            "load_ms": 1.0,
            "peak_memory_kb": None,
            "cpu_times": [None, None],
        }
        return Latency.from_blocks(answer, nominal_ms=NOMINAL_MS, fingerprint_sha256="f", profile_sha256="p")


def spikes(seed: int) -> Callable[[float], float]:
    rng = np.random.default_rng(seed)
    return lambda now_s: 20.0 if rng.random() < 0.01 else 1.0


DISTURBANCES = {
    "nothing": lambda now_s: 1.0,
    "a machine that is 1.5 times slower throughout": lambda now_s: 1.5,
    "drift of 30 % a second": lambda now_s: 1 + 0.3 * now_s,
    "a clock that alternates between two speeds": lambda now_s: 1.4 if int(now_s / 0.11) % 2 else 1.0,
    "throttling after 60 ms": lambda now_s: 1.0 if now_s < 0.06 else 1.8,
    "a neighbour that comes and goes": lambda now_s: 1 + 0.1 * math.sin(2 * math.pi * now_s / 0.4),
    "interrupts in one run of a hundred": spikes(0),
}


@pytest.mark.parametrize("slowdown", DISTURBANCES.values(), ids=DISTURBANCES.keys())
def test_the_corrected_latency_is_the_undisturbed_one(slowdown: Callable[[float], float]) -> None:
    latency = Machine(slowdown).measure()
    assert latency.latency_ms == pytest.approx(MODEL_NS / 1e6, rel=0.02)
    assert latency.half_width <= 0.02
    assert latency.elapsed_s < 3.0


def test_the_raw_latency_is_what_the_clock_said() -> None:
    latency = Machine(lambda now_s: 1.5).measure()
    assert latency.raw_ms == pytest.approx(1.5 * MODEL_NS / 1e6, rel=0.02)
    assert latency.reference_ms == pytest.approx(1.5 * NOMINAL_MS, rel=0.02)


@pytest.mark.parametrize("model_ns", [20_000, 400_000, 6_000_000])
def test_processes_that_take_turns_on_the_core_do_not_count(model_ns: int) -> None:
    latency = Machine(neighbours=3).measure(model_ns=model_ns)
    assert latency.latency_ms == pytest.approx(model_ns / 1e6, rel=0.02)
    assert latency.waiting == pytest.approx(0.75, abs=0.1)


def test_a_disturbed_reference_is_not_quiet_and_an_undisturbed_one_is() -> None:
    assert Machine().measure().quiet
    assert not Machine(DISTURBANCES["a clock that alternates between two speeds"]).measure(half_width=0.004).quiet


def test_when_the_time_is_up_the_wide_interval_is_reported() -> None:
    latency = Machine(noise=1.5).measure(half_width=0.001, time_limit_s=0.5)
    assert latency.half_width > 0.001
    assert 0.5 <= latency.elapsed_s < 0.6


def test_a_model_slower_than_the_time_limit_is_still_run_twice_in_two_blocks() -> None:
    machine = Machine(noise=0.0)
    latency = machine.measure(time_limit_s=0.1, model_ns=1_000_000_000)
    assert latency.blocks == latency.samples == 2
    assert machine.runs.count("model") == 1 + 2 * 2  # warm-up, then one unrecorded and one recorded run a block
    assert latency.latency_ms == pytest.approx(1000)


def test_blocks_alternate_between_the_reference_and_the_model_and_fill_their_time() -> None:
    machine = Machine(noise=0.0)
    latency = machine.measure()
    changes = [now for now, before in zip(machine.runs[1:], machine.runs[:-1], strict=True) if now != before]
    assert changes == ["reference", "model"] * latency.blocks + ["reference"]
    assert latency.samples * latency.runs_per_sample * MODEL_NS >= latency.blocks * agent.MODEL_BLOCK_NS


def test_microsecond_models_are_timed_in_groups() -> None:
    latency = Machine(noise=0.0).measure(model_ns=5_000)
    assert latency.runs_per_sample == agent.SAMPLE_NS // 5_000
    assert latency.latency_ms == pytest.approx(0.005)


def test_a_quiet_search_measurement_costs_at_most_150_ms() -> None:
    assert Machine().measure(half_width=0.05, model_ns=20_000).elapsed_s <= 0.15


def test_warm_up_waits_for_a_clock_that_speeds_up() -> None:
    machine = Machine(lambda now_s: 3.0 - 40 * min(now_s, 0.05), noise=0.001)
    assert agent.warm_up(machine.run("model", MODEL_NS), machine.clock, 10.0) == pytest.approx(MODEL_NS / 1e6, rel=0.1)
    assert machine.now_ns >= 0.045e9


def test_warm_up_ends_at_its_limit() -> None:
    machine = Machine(lambda now_s: 1 / (1 + 100 * now_s), noise=0.0)
    agent.warm_up(machine.run("model", MODEL_NS), machine.clock, 0.02)
    assert 0.02 < machine.now_ns / 1e9 < 0.021


@pytest.mark.parametrize("degrees", [1, 2, 5, 29, 30, 31, 60, 1000])
def test_t_quantiles_agree_with_scipy(degrees: int) -> None:
    assert agent.t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=2e-3)


@given(st.lists(st.floats(0.5, 2.0), min_size=2, max_size=40), st.floats(0.1, 10.0))
def test_the_interval_scales_with_its_values_and_its_centre_lies_among_them(values: list[float], factor: float) -> None:
    centre, half = agent.interval(np.asarray(values))
    scaled_centre, scaled_half = agent.interval(factor * np.asarray(values))
    assert min(values) - 1e-9 <= centre <= max(values) + 1e-9
    assert scaled_centre == pytest.approx(factor * centre)
    assert scaled_half == pytest.approx(factor * half, abs=1e-6)


def test_the_interval_is_students_where_nothing_is_trimmed() -> None:
    values = np.asarray([1.0, 1.1, 0.9, 1.05])
    _, half = agent.interval(values)
    assert half == pytest.approx(agent.STOPPING_WIDENING * stats.t.ppf(0.975, 3) * stats.sem(values), rel=1e-3)


def test_autocorrelated_values_have_a_wider_interval_than_shuffled_ones() -> None:
    values = 1 + 0.1 * np.sin(np.arange(40) / 4)
    shuffled = np.random.default_rng(0).permutation(values)
    assert agent.interval(values)[1] > 2 * agent.interval(shuffled)[1]


@pytest.mark.parametrize("half_width", [0.05, 0.02])
@pytest.mark.parametrize("noise", [0.01, 0.03])
@pytest.mark.parametrize("neighbour", [0.0, 0.05])
def test_intervals_cover_the_truth_with_the_stop_rule_on(half_width: float, noise: float, neighbour: float) -> None:
    rng, trials, longest = np.random.default_rng(0), 400, 60
    covered = 0
    for _ in range(trials):
        walk = stats.norm.rvs(size=2 * longest + 1, random_state=rng)
        for i in range(1, len(walk)):
            walk[i] = 0.8 * walk[i - 1] + 0.6 * walk[i]
        slowdown = np.exp(neighbour * walk)
        model = slowdown[1::2] * np.exp(noise * rng.standard_normal(longest))
        reference = slowdown[::2] * np.exp(0.7 * noise * rng.standard_normal(longest + 1))
        ratios = agent.block_ratios(model, reference)
        n = next(n for n in range(2, longest + 1) if agent.is_enough(ratios[:n], half_width, n, longest))
        centre, half = agent.interval(ratios[:n])
        covered += abs(centre - 1) <= half
    assert covered / trials >= 0.90


def test_ratios_need_a_reference_block_on_either_side() -> None:
    with pytest.raises(agent.AgentError, match="one more reference block"):
        agent.block_ratios(np.ones(3), np.ones(3))
