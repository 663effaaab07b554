"""A run that goes on with another device measures everything anew, or is refused."""

import sqlite3
from contextlib import closing

import pytest

from hwnas.errors import RequestError
from hwnas.experiment import resume, start
from hwnas.store import RunStore
from tests.experiment.conftest import TINY, rows, tiny


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A finished run whose latencies, all of 123 ms, come from another device."""
    folder = tmp_path_factory.mktemp("elsewhere") / "run"
    start(tiny(objectives=("error", "parameters", "latency_ms"), budget={**TINY["budget"], "generations": 0}), folder)
    with RunStore.open(folder, write=True) as store:
        store.set_meta("device_fingerprint_sha256", "another")
        for row in store.rows():
            store.revise(row.id, {"latency_ms": 123.0})
            if row.final:
                store.set_values(row.id, {"latency_ms": 123.0})
    with closing(sqlite3.connect(folder / "run.sqlite")) as connection, connection:
        connection.execute("UPDATE measurements SET fingerprint_sha256 = 'another'")
    return folder


def test_another_device_is_refused_with_both_fingerprints_and_what_to_do(elsewhere):
    with pytest.raises(RequestError, match=r"fingerprint another, now it is [0-9a-f]+; .* --remeasure"):
        resume(elsewhere, changes={"generations": 3})
    with RunStore.open(elsewhere, write=False) as store:
        assert store.meta("budget")["generations"] == 0


def test_remeasuring_replaces_every_latency(elsewhere):
    ended = resume(elsewhere, remeasure=True)
    assert ended.trained == 0
    found = rows(elsewhere)
    assert all(row.values["latency_ms"] < 100 for row in found)
    assert all(row.final.get("latency_ms", 0) < 100 for row in found)
    with RunStore.open(elsewhere, write=False) as store:
        now = store.meta("device_fingerprint_sha256")
        assert {m.fingerprint_sha256 for m in store.measurements()} == {"another", now}
    assert resume(elsewhere).trained == 0  # it is this device's run now


def test_a_run_without_latencies_has_nothing_to_remeasure(first_run):
    with pytest.raises(RequestError, match="measures no latency"):
        resume(first_run[0], remeasure=True)
