"""A search for an int8 device: latency and error are those of the int8 file."""

import dataclasses
from pathlib import Path

import pytest

from hwnas.config import make_config
from hwnas.data import load
from hwnas.device import Fingerprint, load_profile, session
from hwnas.execution import unpack
from hwnas.experiment import start
from hwnas.experiment.context import assemble
from hwnas.experiment.device_model import UNOPTIMISED, DeviceModel
from hwnas.export import needs_reduced_range
from hwnas.models.deploying import pixels, reduces_range
from hwnas.network import Network
from hwnas.store import RunStore
from hwnas.training import evaluate
from tests.experiment.conftest import brief_device


def test_an_int8_search_reports_the_errors_of_its_int8_files(tmp_path: Path) -> None:
    profile, budget = brief_device(tmp_path, "local-cpu-int8"), {"generations": 0, "images_per_child": 2000}
    config = make_config({"device": profile, "budget": budget, "workers": 0})
    start(config, tmp_path / "run")
    context = assemble(config)
    assert context.device is not None
    deployment = DeviceModel(context)
    data, differs = load(context.data_settings), False
    with context.device as device, RunStore.open(tmp_path / "run", write=False) as store:
        rows = [row for row in store.rows() if row.outcome is not None and row.outcome.status == "finished"]
        assert len(rows) == len(context.initial)
        assert store.meta("errors_computed").startswith(f"by the device itself, from the int8 files: {device.fingerprint().cpu}")
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


@pytest.mark.slow
def test_where_no_latency_is_measured_int8_errors_are_computed_here_without_saturation(tmp_path: Path) -> None:
    config = make_config(
        {
            "device": "local-cpu-int8",
            "workers": 0,
            "objectives": ("error", "parameters"),
            "budget": {"generations": 0, "images_per_child": 640, "max_evaluations": 2},
        }
    )
    start(config, tmp_path / "run")
    context = assemble(config)
    assert context.device is None
    deployment, validation = DeviceModel(context), context.data.validation
    with RunStore.open(tmp_path / "run", write=False) as store:
        assert store.meta("errors_computed") == "here by ONNX Runtime, from the int8 files, graph optimisations off"
        rows = [row for row in store.rows() if row.outcome is not None and row.outcome.status == "finished"]
        assert rows
        for row in rows:
            assert row.outcome is not None
            assert row.outcome.weights is not None
            model = deployment.model(row.candidate.graph, unpack(store.weights(row.outcome.weights)))
            assert b"QuantizeLinear" in model
            (logits,) = session(model, UNOPTIMISED).run(None, {"image": pixels(validation)})
            error = float((logits.argmax(1) != validation.labels.numpy()).mean())
            assert row.values["error"] == pytest.approx(error, abs=1e-9)


def test_weights_have_seven_bits_exactly_where_the_cpu_lacks_int8_dot_instructions() -> None:
    local, here = load_profile("local-cpu-int8"), Fingerprint.here()
    assert reduces_range(local, None) == needs_reduced_range(here)
    for dot in ((), ("avx512_vnni",)):
        assert reduces_range(local, dataclasses.replace(here, architecture="x86_64", int8_dot=dot)) == (not dot)
    assert not reduces_range(load_profile("raspberry-pi-5"), None)
