"""What keeps a long run quick: the latency predictor looks at the newest measurements alone, the same in a replay."""

import dataclasses
from pathlib import Path

import pytest

from hwnas.device import load_profile, open_device
from hwnas.device.reference import conv_chain
from hwnas.estimate import LatencyPredictor
from hwnas.experiment import latency as latency_module
from hwnas.experiment.latency import MeasuredLatencies
from hwnas.graph import architecture_id
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore

GRAPHS = [graph for _, graph in initial_graphs((1, 8, 8), 10)][:6]


def never_measured() -> bytes:
    raise AssertionError("what is stored is not measured again")


def test_the_predictor_is_fitted_to_the_newest_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_module, "FITTED", 3)
    profile = load_profile("local-cpu")
    with open_device(profile) as device, RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        one = device.measure(conv_chain(channels=2, size=4, layers=1), half_width=0.5, time_limit_s=0.05)
        for number, graph in enumerate(GRAPHS):
            kept = dataclasses.replace(one, latency_ms=0.01 * (1 + number))
            sha256 = device.fingerprint().sha256()
            store.add_measurement(
                architecture_id(graph), "search", kept.to_json(), fingerprint_sha256=sha256, profile_sha256=profile.sha256()
            )
        book = MeasuredLatencies(store, device, profile)
        assert book.predicted_ms(GRAPHS[0]) is None  # stored, but not reached yet
        latencies = [book.values(graph, never_measured)["latency_ms"] for graph in GRAPHS]
        book.values(GRAPHS[3], never_measured)  # tried once more: the newest now
        book.refit()
        newest = (4, 5, 3)
        expected = LatencyPredictor.fit([GRAPHS[i] for i in newest], [latencies[i] for i in newest])
        assert [book.predicted_ms(graph) for graph in GRAPHS] == [expected.predict(graph) for graph in GRAPHS]
