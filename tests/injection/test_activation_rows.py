"""Rows of activation faults say what was in memory and what came of it, and a stuck bit hurts only where it changes something."""

import numpy as np
import pytest

from hwnas.campaign import Campaign, Examples, FaultSettings, Subject, study
from hwnas.cli.fault_tables import remarks
from hwnas.export import convert, emit
from hwnas.injection import QdqTarget, TorchTarget
from hwnas.injection.target import FaultTarget
from hwnas.resilience import FLOAT16, FLOAT32
from tests.export.samples import images, random_state
from tests.injection.injection_samples import SAMPLES, program


def benches() -> dict[str, FaultTarget]:
    graph = SAMPLES["residual"]()
    calibration = images(graph, 32).numpy()
    int8 = QdqTarget(convert(emit(graph, random_state(graph)), "int8", calibration=calibration))
    return {"float32": TorchTarget(program(graph, FLOAT32)), "float16": TorchTarget(program(graph, FLOAT16)), "int8": int8}


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_bit_that_is_stuck_at_its_level_changes_nothing_and_else_it_is_a_flip(dtype: str) -> None:
    bench = benches()[dtype]
    shown = images(SAMPLES["residual"](), 50).numpy()
    examples = Examples(images=shown, labels=bench.engine(shown).classes.astype(np.int64))
    found = {}
    for fault in ("single", "stuck-at"):
        settings = FaultSettings(target="activations", fault=fault, dtype=dtype, half_width=100.0)
        found[fault] = Campaign("m", bench, examples, settings).single(None, lambda stage: None).rows
    flips = {(row["bit"], place): row for place, row in enumerate(found["single"])}
    seen = set()
    for place, row in enumerate(found["stuck-at"]):
        before, after = row["direction"].split("->")
        assert row["effective"] is (before != after)
        assert after == row["kind"][-1]  # stuck-at-0 and stuck-at-1
        assert (str(row["old"]) == str(row["new"])) or before != after
        if before == after:
            assert (row["masked"], row["changed"], row["drop"]) == (1.0, 0.0, 0.0)
        elif (row["bit"], place) in flips:
            flip = flips[row["bit"], place]
            assert [row[name] for name in ("old", "new", "drop", "changed")] == [
                flip[name] for name in ("old", "new", "drop", "changed")
            ]
            assert flip["direction"] == row["direction"]
            seen.add(row["direction"])
    assert seen == {"0->1", "1->0"}


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_the_share_of_stuck_bits_that_are_faults_is_told(target: str) -> None:
    graph = SAMPLES["residual"]()
    shown = images(graph, 50)
    labels = program(graph).run(shown).argmax(1).numpy()
    subject = Subject(name="m", bench=lambda: TorchTarget(program(graph)))
    examples = Examples(images=shown.numpy(), labels=labels)
    settings = FaultSettings(target=target, half_width=2.0)
    for fault, low, high in (("single", 0.999, 1.001), ("stuck-at", 0.2, 0.8)):
        found = study([subject], examples, settings, [fault], folder=None, watch=lambda stage: None)
        assert found.networks[0].single is not None
        assert low <= found.networks[0].single.effective.value <= high
        assert [" % of the stuck bits" in remark for remark in remarks(found, [fault])] == [True] * (fault == "stuck-at")
