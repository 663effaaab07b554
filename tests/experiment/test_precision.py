"""A search for an int8 device: latency and error are those of the int8 file."""

from pathlib import Path

import pytest

from hwnas.config import make_config
from hwnas.data import load
from hwnas.execution import unpack
from hwnas.experiment import start
from hwnas.experiment.deployment import Deployment, pixels
from hwnas.experiment.parts import assemble
from hwnas.network import Network
from hwnas.store import RunStore
from hwnas.training import evaluate


def test_an_int8_search_reports_the_errors_of_its_int8_files(tmp_path: Path) -> None:
    config = make_config({"device": "local-cpu-int8", "budget": {"generations": 0, "images_per_child": 2000}, "workers": 2})
    start(config, tmp_path / "run")
    parts = assemble(config)
    assert parts.device is not None
    deployment = Deployment(parts)
    data, differs = load(parts.data_settings), False
    with parts.device as device, RunStore.open(tmp_path / "run", write=False) as store:
        rows = [row for row in store.rows() if row.outcome is not None and row.outcome.status == "finished"]
        assert len(rows) == len(parts.initial)
        for row in rows:
            assert row.outcome is not None
            assert row.outcome.weights is not None
            graph, state = row.candidate.graph, unpack(store.weights(row.outcome.weights))
            model = deployment.model(graph, state)
            assert b"QuantizeLinear" in model
            logits = device.predict(model, pixels(data.validation))
            error = float((logits.argmax(1) != data.validation.labels.numpy()).mean())
            assert row.values["error"] == pytest.approx(error, abs=1e-9)
            differs |= evaluate(Network(graph, state), data, data.validation).error != error
    assert differs  # else nothing shows that it is not torch's float32 error
