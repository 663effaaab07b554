"""The contract: whatever the fault, the fast engine gives the classes of the naive one."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.deployed import Change, Program
from hwnas.injection import DUE, FastSimulator, NaiveSimulator, Upset
from hwnas.injection.simulator import MARGINS
from hwnas.network import Network
from hwnas.resilience import BFLOAT16, FLOAT16, FLOAT32, Burst, FaultKind, Format, Single
from tests.chains import grown_graphs
from tests.export.samples import random_state, statistics, torch_logits
from tests.injection.injection_samples import SAMPLES, batch, program, tiny, tiny_program

FORMATS = [FLOAT32, FLOAT16, BFLOAT16]


def same(made: Program, pictures: torch.Tensor, trials: list[tuple[Change, ...]]) -> tuple[FastSimulator, int]:
    """Compare the engines on every trial; gives the fast one, and how many answers were unrecoverable."""
    naive, fast = NaiveSimulator(made, pictures), FastSimulator(made, pictures)
    lost = 0
    for changes in trials:
        expected, got = naive.weights(changes), fast.weights(changes)
        np.testing.assert_array_equal(got.classes, expected.classes, err_msg=str(changes))
        lost += int((expected.classes == DUE).sum())
    return fast, lost


@pytest.mark.parametrize("name", SAMPLES)
def test_a_program_computes_what_the_network_computes(name: str) -> None:
    graph = SAMPLES[name]()
    pictures = batch(graph)
    expected = torch_logits(graph, random_state(graph), pictures, normalised=True)
    np.testing.assert_allclose(program(graph).run(pictures).numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", FORMATS, ids=lambda layout: layout.name)
def test_every_bit_of_a_tiny_network(layout: Format) -> None:
    made = tiny_program(layout)
    before = made.memory.sha256()
    trials = [made.memory.flipped(np.array([bit])) for bit in range(made.memory.population.size)]
    _, lost = same(made, batch(tiny(), 4), trials)
    assert lost > 0  # infinities and NaN were among them
    assert made.memory.sha256() == before
    made.memory.check_unharmed()


@pytest.mark.parametrize("layout", FORMATS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("name", SAMPLES)
def test_bits_of_every_layer(name: str, layout: Format) -> None:
    made, rng = program(SAMPLES[name](), layout), np.random.default_rng(1)
    memory = made.memory
    bits = [
        memory.population.index(tensor=tensor.name, element=int(element), bit=bit)
        for tensor in memory.population.tensors
        for element in rng.integers(tensor.size, size=2)
        for bit in (0, layout.bits - 7, layout.bits - 3, layout.bits - 2, layout.bits - 1)
    ]
    fast, _ = same(made, batch(made.graph), [memory.flipped(np.array([bit])) for bit in bits])
    if layout is FLOAT32:
        assert fast.exact < fast.tried / 2


@settings(max_examples=15, deadline=None)
@given(graph=grown_graphs(), seed=st.integers(0, 1000))
def test_bits_of_grown_networks(graph, seed: int) -> None:
    mean, std = statistics(graph)
    made = Program.of(graph, random_state(graph, seed), mean=mean, std=std)
    bits = np.random.default_rng(seed).integers(made.memory.population.size, size=20)
    same(made, batch(graph, 3), [made.memory.flipped(np.array([bit])) for bit in bits])


def test_bursts_and_stuck_bits_and_many_errors() -> None:
    made, rng = program(SAMPLES["residual"]()), np.random.default_rng(2)
    population = made.memory.population
    stuck = [Single(kind=kind) for kind in (FaultKind.STUCK_AT_0, FaultKind.STUCK_AT_1)]
    models: list[Any] = [Burst(length=3), Burst(length=4, across="words"), *stuck]
    trials = [
        made.memory.changes(model.at(population, int(bit), rng))
        for model in models
        for bit in rng.integers(population.size, size=15)
    ]
    trials += [made.memory.flipped(rng.choice(population.size, 40, replace=False)) for _ in range(5)]
    same(made, batch(made.graph), trials)


@pytest.mark.parametrize("layout", FORMATS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("name", ["residual", "dense"])
def test_bits_of_every_activation(name: str, layout: Format) -> None:
    made, rng = program(SAMPLES[name](), layout), np.random.default_rng(3)
    pictures = batch(made.graph)
    naive, fast = NaiveSimulator(made, pictures), FastSimulator(made, pictures)
    lost = 0
    for number, step in enumerate(made.steps):
        shown = made.decoded(step.name, fast.stored(number)).reshape(tuple(fast.clean.values[number].shape))
        np.testing.assert_array_equal(shown, fast.clean.values[number].numpy())
        for bit in (0, layout.bits - 2, layout.bits - 1):
            elements = rng.integers(step.tensor.elements, size=len(pictures))
            upsets = [Upset(image=image, element=int(element), mask=1 << bit) for image, element in enumerate(elements)]
            expected = naive.activations(number, upsets).classes
            np.testing.assert_array_equal(fast.activations(number, upsets).classes, expected)
            lost += int((expected == DUE).sum())
    assert lost > 0


def test_a_skip_branch_sees_an_upset_only_where_it_reads_the_tensor() -> None:
    made = program(tiny())
    pictures = batch(made.graph, 1)
    body = next(number for number, step in enumerate(made.steps) if step.op.kind == "add") - 1
    seen: dict[int, torch.Tensor] = {}
    made.run(pictures, disturb=lambda number, value: seen.setdefault(number, value))
    add = made.steps[body + 1]
    assert body in add.reads
    assert len(set(add.reads)) == 2
    stem = next(source for source in add.reads if source != body)
    disturbed: dict[int, torch.Tensor] = {}
    made.run(pictures, disturb=lambda number, value: disturbed.setdefault(number, value + 1 if number == body else value))
    torch.testing.assert_close(disturbed[stem], seen[stem], rtol=0, atol=0)
    assert not torch.equal(disturbed[body + 1], seen[body + 1])


def test_a_flip_that_nothing_reads_is_masked() -> None:
    graph = SAMPLES["plain"]()
    state = random_state(graph)
    state["3.weight"][0], state["3.bias"][0] = -1e-3, -100.0  # batch norm: filter 0 is dead behind its ReLU
    made = Program.of(graph, state)
    fast = FastSimulator(made, batch(graph))
    found = fast.weights(made.memory.flipped(np.array([made.memory.population.index(tensor="2.weight", element=0, bit=22)])))
    assert found.masked.all()
    assert not fast.exact
    np.testing.assert_array_equal(found.classes, Network(graph, state).eval()(batch(graph)).argmax(1))


@pytest.mark.parametrize("name", SAMPLES)
def test_sums_in_another_order_stay_far_within_the_margin(name: str) -> None:
    """What the margin is for: logits by differences are those of a full pass but for a tenth of it."""
    made, rng = program(SAMPLES[name]()), np.random.default_rng(4)
    pictures = batch(made.graph)
    fast = FastSimulator(made, pictures)
    worst, compared = 0.0, 0
    for bit in rng.integers(made.memory.population.size, size=150):
        (change,) = made.memory.flipped(np.array([bit]))
        logits = fast._by_difference(change)
        if logits is not None:
            exact = made.run(pictures, made.with_changes([change])).numpy()
            worst, compared = max(worst, float(np.abs(logits - exact).max() / np.abs(exact).max())), compared + 1
    assert compared > 100
    assert worst < MARGINS["float32"] / 10
