"""Trials of networks of one layout are pairs: the same bits, the same images; what decides either parts them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas.injection import (
    Campaign,
    CurveCampaign,
    Examples,
    FaultSettings,
    Program,
    Stage,
    Subject,
    TorchBench,
    as_json,
    study,
)
from hwnas.resilience import BFLOAT16, FLOAT32, Format
from tests.export.samples import random_state, statistics
from tests.graphs import SAMPLES
from tests.injection.injection_samples import batch, labels_of, program, tiny

SETTINGS = FaultSettings(fault="ber", bers=(1e-4, 1e-2), half_width=8.0)


def silent(stage: Stage) -> None:
    pass


@pytest.fixture(scope="module")
def data() -> Examples:
    """Of which two of the networks know more than chance."""
    pictures = batch(tiny(), 60)
    one, other = (labels_of(program(tiny(), seed=seed), pictures) for seed in (0, 1))
    return Examples(images=pictures.numpy(), labels=np.where(np.arange(60) % 2 == 0, one, other))


def bench(seed: int = 0, layout: Format = FLOAT32) -> TorchBench:
    return TorchBench(program(tiny(), layout, seed=seed))


def retrained() -> TorchBench:
    """Weights a little off, as after a step of training."""
    graph, generator = tiny(), torch.Generator().manual_seed(0)
    mean, std = statistics(graph)
    state = {
        name: value + 0.02 * value.std() * torch.randn(value.shape, generator=generator) if name.endswith(".weight") else value
        for name, value in random_state(graph, 0).items()
    }
    return TorchBench(Program.of(graph, state, FLOAT32, mean=mean, std=std))


def trials(name: str, made: TorchBench, data: Examples, settings: FaultSettings = SETTINGS) -> CurveCampaign:
    return Campaign(name, made, data, settings).curve(None, silent)


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_another_network_of_the_same_layout_meets_the_same_bits_whatever_its_name(data: Examples, target: str) -> None:
    settings = replace(SETTINGS, target=target)
    one, other = trials("a", bench(), data, settings), trials("b", bench(1), data, replace(settings, half_width=9.0))
    assert one.draws == other.draws
    assert one.curve.kinds == other.curve.kinds
    flips = [{(row["ber"], row["kind"], row["trial"]): row["flips"] for row in each.rows} for each in (one, other)]
    common = flips[0].keys() & flips[1].keys()
    assert len(common) > 20
    assert all(flips[0][trial] == flips[1][trial] for trial in common)


def test_other_bits_images_and_settings_are_no_pairs(data: Examples) -> None:
    base = trials("a", bench(), data).draws
    fewer = Examples(images=data.images[:59], labels=data.labels[:59])
    relabelled = Examples(images=data.images, labels=np.append(data.labels[:-1], (data.labels[-1] + 1) % 3))
    others = [
        trials("a", bench(layout=BFLOAT16), data),
        trials("a", bench(), fewer),
        trials("a", bench(), relabelled),
        *(
            trials("a", bench(), data, replace(SETTINGS, **setting))
            for setting in ({"seed": 1}, {"bers": (1e-4, 1e-3)}, {"target": "activations"})
        ),
    ]
    draws = [base, *(each.draws for each in others)]
    assert len(set(draws)) == len(draws)
    flat = program(SAMPLES["flat"]())
    pictures = batch(flat.graph, 60)
    own = Examples(images=pictures.numpy(), labels=labels_of(flat, pictures))
    assert trials("a", TorchBench(flat), own).draws not in draws


def test_a_report_pairs_a_network_with_itself_retrained_and_its_json_says_so(data: Examples) -> None:
    subjects = [Subject(name="before", bench=bench), Subject(name="after", bench=retrained)]
    settings = FaultSettings(images=6, bers=(1e-4, 1e-2), half_width=8.0)
    found = study(subjects, data, settings, ["single", "ber"], folder=None, watch=silent)
    content = json.loads(json.dumps(as_json(found, {}), allow_nan=False))
    assert (content["by_area"][0]["paired"], content["by_drop"][0]["paired"]) == (True, False)
    areas = [network["curve"]["area"] for network in content["networks"]]
    apart = sum(area["standard_error"] ** 2 for area in areas) ** 0.5
    assert content["by_area"][0]["estimate"]["standard_error"] < apart / 2
    assert "measured" not in content["networks"][0]["curve"]
