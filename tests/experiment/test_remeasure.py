"""A run that continues with another device measures everything again, all at once or not at all, or is refused."""

import dataclasses
import json
import logging
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from hwnas.api import Run
from hwnas.data import DataSettings, load
from hwnas.errors import DivergedError, ExportError, RequestError
from hwnas.execution import unpack
from hwnas.experiment import remeasure, resume, start
from hwnas.network import Network
from hwnas.store import RunStore
from hwnas.training import evaluate
from tests.experiment.conftest import TINY, brief_device, front, rows, tiny

OTHER = "another"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere") / "run"
    device, budget = brief_device(folder.parent), {**TINY["budget"], "generations": 0}
    start(tiny(device=device, objectives=("error", "parameters", "latency_ms"), budget=budget), folder)
    pretend_elsewhere(folder)
    return folder


@pytest.fixture
def elsewhere(made, tmp_path):
    """A finished run whose latencies, all of 123 ms, come from another device."""
    return shutil.copytree(made, tmp_path / "run")


def pretend_elsewhere(folder):
    with RunStore.open(folder, write=True) as store:
        found = list(store.rows())
        store.revise(
            [dataclasses.replace(row.outcome, values={**row.outcome.values, "latency_ms": 123.0}) for row in found],
            meta={"device_fingerprint_sha256": OTHER},
        )
        for row in found:
            if row.final:
                store.set_values(row.id, {"latency_ms": 123.0})
    change(folder, "UPDATE measurements SET fingerprint_sha256 = ?", OTHER)


def change(folder, statement, *values):
    with closing(sqlite3.connect(folder / "run.sqlite")) as connection, connection:
        connection.execute(statement, values)


def measured_here(folder):
    """Search latencies that were measured on this device, by architecture."""
    with RunStore.open(folder, write=False) as store:
        found = [m for m in store.measurements("search") if m.fingerprint_sha256 != OTHER]
    assert len({m.architecture_id for m in found}) == len(found)  # nothing was measured twice
    return {m.architecture_id: m.latency for m in found}


def meta(folder, name):
    with RunStore.open(folder, write=False) as store:
        return store.meta(name)


def test_another_device_is_refused_with_both_fingerprints_and_what_to_do(elsewhere):
    with pytest.raises(RequestError, match=r"fingerprint another; now it is fingerprint [0-9a-f]+; .* --remeasure"):
        resume(elsewhere, changes={"generations": 3})
    assert meta(elsewhere, "budget")["generations"] == 0


@pytest.mark.slow
def test_a_killed_attempt_leaves_the_run_as_it_was_and_the_next_measures_what_is_left(elsewhere):
    before, then = rows(elsewhere), {name: meta(elsewhere, name) for name in ("profile", "reference_nominal_ms")}
    program = f"from hwnas.experiment import resume; resume(__import__('pathlib').Path({str(elsewhere)!r}), remeasure=True)"
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        deadline = time.monotonic() + 120
        while len(measured_here(elsewhere)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    kept = measured_here(elsewhere)
    assert 2 <= len(kept) < len(before)
    assert rows(elsewhere) == before
    assert then == {name: meta(elsewhere, name) for name in then}
    with pytest.raises(RequestError, match="fingerprint another"):
        resume(elsewhere)

    ended = resume(elsewhere, remeasure=True)
    assert ended.trained == 0
    found, now = rows(elsewhere), measured_here(elsewhere)
    assert now.keys() == {row.architecture_id for row in found}
    assert {key: now[key] for key in kept} == kept
    nominal = meta(elsewhere, "reference_nominal_ms")
    for row in found:  # both attempts on one scale, though each began with a reference of its own
        latency = now[row.architecture_id]
        assert row.values["latency_ms"] == pytest.approx(latency["latency_ms"] * nominal / latency["reference_nominal_ms"])
        assert row.values["latency_ms"] < 100
        assert ("latency_ms" in row.final) == (row.id in front(elsewhere))
        assert row.final.get("latency_ms", 0) < 100
    assert resume(elsewhere).trained == 0  # it is this device's run now


def test_who_breaks_a_limit_on_the_new_device_leaves_the_front_and_may_come_back(elsewhere):
    resume(elsewhere, remeasure=True)
    latencies = {row.id: row.values["latency_ms"] for row in rows(elsewhere)}
    low = 0.45 * max(latencies.values())  # whatever is measured now, within half of what it was, the slowest is above it
    for limit in (low, 1000.0):
        with RunStore.open(elsewhere, write=False) as store:
            config = {**json.loads(store.config), "limits": {"latency_ms": limit}}
        change(elsewhere, "UPDATE meta SET value = ? WHERE name = 'config'", json.dumps(config))
        change(elsewhere, "UPDATE meta SET value = ? WHERE name = 'device_fingerprint_sha256'", json.dumps(OTHER))
        assert resume(elsewhere, remeasure=True).trained == 0
        found = {row.id: row for row in rows(elsewhere)}
        assert {id: row.values["latency_ms"] for id, row in found.items()} == pytest.approx(latencies, rel=0.5)
        over = {id for id, row in found.items() if row.values["latency_ms"] > limit}
        assert over == {id for id, row in found.items() if row.outcome.status == "infeasible"}
        assert bool(over) == (limit == low)
        assert not over & set(front(elsewhere))


def test_who_was_over_the_limit_of_the_other_device_untrained_is_proposed_again(elsewhere, caplog):
    caplog.set_level(logging.INFO, "hwnas")
    with RunStore.open(elsewhere, write=True) as store:
        before = list(store.rows())
        store.revise([dataclasses.replace(row.outcome, status="infeasible", weights=None) for row in before])
        config = {**json.loads(store.config), "limits": {"latency_ms": 100.0}}
    change(elsewhere, "UPDATE meta SET value = ? WHERE name = 'config'", json.dumps(config))
    ended = resume(elsewhere, remeasure=True, changes={"generations": 1})
    assert ended.reopened == ended.trained == len(before)
    assert f"{len(before)} networks were over the latency limit of the other device" in caplog.text
    found = rows(elsewhere)
    assert [row.outcome.status for row in found] == ["infeasible"] * len(before) + ["finished"] * len(before)
    assert {row.architecture_id for row in found[len(before) :]} == {row.architecture_id for row in before}
    assert resume(elsewhere).reopened == 0


@pytest.mark.parametrize(("error", "kind"), [(DivergedError, "diverged"), (ExportError, "export_failed")])
def test_who_is_of_no_use_on_the_new_device_has_failed_for_the_reason_that_a_search_gives(elsewhere, monkeypatch, error, kind):
    broken, measured = front(elsewhere)[0], remeasure._measured

    def measure(row, *rest, **others):
        if row.id == broken:
            raise error("no answers here")
        return measured(row, *rest, **others)

    monkeypatch.setattr(remeasure, "_measured", measure)
    resume(elsewhere, remeasure=True)
    outcome = next(row.outcome for row in rows(elsewhere) if row.id == broken)
    assert (outcome.status, outcome.failure.kind) == ("failed", kind)
    assert broken not in front(elsewhere)


def test_errors_are_those_of_the_precision_that_the_run_goes_on_with(tmp_path):
    profile = Path(brief_device(tmp_path, "local-cpu-int8"))
    int8 = profile.read_text()
    budget = {"generations": 0, "images_per_child": 640, "max_evaluations": 4}
    start(tiny(device=str(profile), objectives=("error", "parameters", "latency_ms"), budget=budget), tmp_path / "run")
    before = rows(tmp_path / "run")
    profile.write_text(int8.replace('"int8"', '"float32"'))
    resume(tmp_path / "run", remeasure=True)
    assert meta(tmp_path / "run", "errors_computed") == "by torch, in float32"
    data, changed = load(DataSettings()), False
    with RunStore.open(tmp_path / "run", write=False) as store:
        for row, then in zip(rows(tmp_path / "run"), before, strict=True):
            if row.outcome.status == "finished":
                network = Network(row.candidate.graph, unpack(store.weights(row.outcome.weights)))
                assert row.values["error"] == evaluate(network, data, data.validation).error
                assert row.final.get("test_plain_error", 0) in (0, evaluate(network, data, data.test).error)
                changed |= row.values["error"] != then.values["error"]
    assert changed


def test_collected_weights_cannot_be_measured_and_nothing_changes(elsewhere):
    with RunStore.open(elsewhere, write=True) as store:
        store.collect(set(front(elsewhere)[:1]))
    before = rows(elsewhere)
    with pytest.raises(RequestError, match=r"weights of \d+ networks .* were collected"):
        resume(elsewhere, remeasure=True)
    assert rows(elsewhere) == before
    assert not measured_here(elsewhere)
    assert Run(elsewhere).ended() == "0 generations are done"  # a refusal starts nothing


def test_a_run_without_latencies_has_nothing_to_remeasure(first_run):
    with pytest.raises(RequestError, match="measures no latency"):
        resume(first_run[0], remeasure=True)
