"""A tiny network, every single flip of which is tried: what sampling says of it is held against the exact truth."""

import numpy as np
import pytest

from hwnas.errors import ConfigError
from hwnas.resilience import (
    FLOAT16,
    Design,
    FaultSample,
    Outcomes,
    Population,
    Role,
    Sampler,
    SamplingPlan,
    Single,
    TensorBits,
    stratify,
)

WEIGHTS = {
    "hidden.weight": np.random.default_rng(1).normal(0, 0.5, (6, 12)).astype(np.float16),
    "head.weight": np.random.default_rng(2).normal(0, 0.5, (12, 3)).astype(np.float16),
    "head.bias": np.random.default_rng(3).normal(0, 0.1, 3).astype(np.float16),
}
INPUTS = np.random.default_rng(4).normal(size=(60, 6)).astype(np.float32)
POPULATION = Population(
    tensors=tuple(
        TensorBits(
            name=name,
            layer=name.split(".")[0],
            role=Role.BIAS if name.endswith("bias") else Role.WEIGHT,
            size=tensor.size,
            format=FLOAT16,
        )
        for name, tensor in WEIGHTS.items()
    )
)


def predictions(weights: dict[str, np.ndarray]) -> np.ndarray:
    hidden, head, bias = (tensor.astype(np.float32) for tensor in weights.values())
    with np.errstate(all="ignore"):
        logits = np.maximum(INPUTS @ hidden, 0) @ head + bias
    return np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), -1)  # not finite counts as wrong


@pytest.fixture(scope="module")
def drops() -> np.ndarray:
    """Accuracy drop in points of every single flip, by bit index."""
    clean = predictions(WEIGHTS)
    found = []
    for index in range(POPULATION.size):
        (fault,) = Single().at(POPULATION, index, np.random.default_rng(0))
        tensor = WEIGHTS[fault.tensor].copy()
        tensor.reshape(-1)[fault.element] = fault.applied(tensor.reshape(-1)[fault.element], FLOAT16)
        found.append(100 * (predictions({**WEIGHTS, fault.tensor: tensor}) != clean).mean())
    return np.array(found)


def campaign(drops: np.ndarray, seed: int, half_width: float) -> tuple[Sampler, FaultSample]:
    strata = stratify(POPULATION)
    sampler, bits, numbers = Sampler(strata, SamplingPlan(seed=seed, batch=100)), [], []
    while not sampler.done(half_width):
        batch = sampler.ask()
        sampler.tell(Outcomes(bits=batch.bits, values=drops[batch.bits], costs=np.ones(len(batch.bits))))
        bits.append(batch.bits)
        numbers.append(batch.strata)
    values = drops[np.concatenate(bits)]
    return sampler, FaultSample(design=Design.of(strata), strata=np.concatenate(numbers), values=values)


def test_the_top_exponent_bit_does_most_of_the_damage(drops: np.ndarray) -> None:
    bits = POPULATION.locate(np.arange(POPULATION.size)).bits
    assert drops[bits == 14].mean() > 5 * drops[bits != 14].mean()


def test_mean_share_and_each_layer_hold_the_exact_truth(drops: np.ndarray) -> None:
    strata = stratify(POPULATION)
    held = []
    for seed in range(60):
        sampler, sample = campaign(drops, seed, 1.0)
        estimates = [(sampler.estimate(), drops.mean())]
        critical = FaultSample(design=sample.design, strata=sample.strata, values=(sample.values > 1).astype(float))
        estimates.append((critical.share(), (drops > 1).mean()))
        for layer in ("hidden", "head"):
            numbers = [number for number, stratum in enumerate(strata) if stratum.layer == layer]
            truth = drops[np.concatenate([strata[number].bits(np.arange(strata[number].size)) for number in numbers])].mean()
            estimates.append((sample.within(numbers).mean(largest_value=100), truth))
        held.append([estimate.low <= truth <= estimate.high for estimate, truth in estimates])
    assert (np.mean(held, axis=0) >= 0.9).all()


def test_a_layers_part_of_all_damage_adds_up_to_one_and_its_interval_holds_the_truth(drops: np.ndarray) -> None:
    strata, harm, held = stratify(POPULATION), np.maximum(drops, 0), []
    of = {layer: [n for n, stratum in enumerate(strata) if stratum.layer == layer] for layer in ("hidden", "head")}
    bits = np.concatenate([strata[number].bits(np.arange(strata[number].size)) for number in of["head"]])
    truth = harm[bits].sum() / harm.sum()
    for seed in range(60):
        sample = campaign(harm, seed, 1.0)[1]
        head, hidden = (sample.part_of_total(of[layer]) for layer in ("head", "hidden"))
        assert head is not None
        assert hidden is not None
        assert head.value + hidden.value == pytest.approx(1)
        assert 0 <= head.low <= head.value <= head.high <= 1
        held.append(head.low <= truth <= head.high)
    assert np.mean(held) >= 0.9
    assert 0.05 < truth < 0.95
    nothing = FaultSample(design=sample.design, strata=sample.strata, values=np.zeros_like(sample.values))
    assert nothing.part_of_total(of["head"]) is None


def test_the_samplers_estimate_is_that_of_its_sample(drops: np.ndarray) -> None:
    sampler, sample = campaign(drops, 0, 2.0)
    assert sampler.estimate() == sample.mean(largest_value=100)
    assert sample.weights().sum() == pytest.approx(1)
    assert sample.weights() @ sample.values == pytest.approx(sampler.estimate().value)


def test_wrong_requests_are_refused() -> None:
    design = Design(sizes=np.array([10]), groups=np.array([0]))
    with pytest.raises(ConfigError, match="one stratum per value"):
        FaultSample(design=design, strata=np.zeros(2, np.int64), values=np.zeros(3))
    with pytest.raises(ConfigError, match="0 and 1"):
        FaultSample(design=design, strata=np.zeros(2, np.int64), values=np.array([0.5, 1])).share()
