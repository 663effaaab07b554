"""What version 0.1.0 stored: runs of it, kept in tests/data_runs, are opened, exported, faulted and resumed by this version."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hwnas import api
from hwnas.api import Run
from hwnas.device.fingerprint import Fingerprint
from hwnas.report import Entry
from hwnas.store import RunStore

RUNS = Path(__file__).parent / "data_runs" / "0.1.0"
JOURNAL = Path("faults") / "g0-3-float32-weights-single-seed0.jsonl"
SAME_CPU = 0.1  # an error after 320 images of training on another CPU: the same networks, other roundings

FRONTS = {  # what `hwnas front` of version 0.1.0 printed: validation error and parameters
    "plain": {
        "g2-2": (0.1894, 2315), "g1-0": (0.2006, 1922), "g2-1": (0.3203, 791), "g1-2": (0.4290, 671),
        "g2-0": (0.4513, 511), "g0-3": (0.5989, 319), "g0-1": (0.8552, 152), "g0-0": (0.8774, 52),
    },
    "latency": {
        "g1-0": (0.2006, 1922), "g2-1": (0.4262, 577), "g0-6": (0.4596, 678), "g1-1": (0.5627, 392),
        "g0-3": (0.5989, 319), "g0-1": (0.8552, 152), "g1-2": (0.8719, 68), "g0-0": (0.8774, 52),
    },
    "analytic": {
        "g1-0": (0.2006, 1922), "g2-2": (0.2117, 1867), "g1-1": (0.4011, 671), "g0-3": (0.5989, 319),
        "g1-2": (0.7660, 123), "g0-0": (0.8774, 52),
    },
}  # fmt: skip
RESUMED = {  # the children of generation 3 as version 0.1.0 made them: parent, operators, parameters and validation error
    "plain": {
        "g3-0": ("g2-2", "separable", 1363, 0.2033),
        "g3-1": ("g0-0", "separable+enlarge_kernel+widen", 103, 0.8524),
        "g3-2": ("g0-3", "enlarge_kernel", 367, 0.4791),
    },
    "analytic": {
        "g3-0": ("g1-0", "separable", 970, 0.1671),
        "g3-1": ("g1-2", "widen", 174, 0.5460),
        "g3-2": ("g0-3", "enlarge_kernel", 367, 0.4791),
    },
}  # fmt: skip


def former(name: str, place: Path) -> Run:
    """A copy of a run of version 0.1.0, which may be written."""
    return api.open_run(shutil.copytree(RUNS / name, place / name))


def in_this_process(run: Run) -> Run:
    """The run, which was trained by a worker, continues without one: to the same bits, and sooner."""
    with closing(sqlite3.connect(run.folder / "run.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = replace(value, '\"workers\":1', '\"workers\":0') WHERE name = 'config'")
    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but those in which SQLite coordinates its readers."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.match("run.sqlite-*")}


def seen(entries: list[Entry]) -> dict[str, tuple[float, int]]:
    return {entry.id: (round(entry.value("error") or 0.0, 4), int(entry.value("parameters") or 0)) for entry in entries}


@pytest.mark.parametrize("name", FRONTS)
def test_its_front_and_its_networks_are_read_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    run = former(name, tmp_path)
    before = contents(run.folder)
    assert seen(run.front()) == FRONTS[name]
    assert {entry.row.candidate.id for entry in run.rows()} == {entry.id for entry in run.rows()}
    run.report(tmp_path / "report.html")
    assert contents(run.folder) == before


def test_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    run = former("plain", tmp_path)
    run.folder.chmod(0o555)
    try:
        assert seen(run.front()) == FRONTS["plain"]
    finally:
        run.folder.chmod(0o755)


def test_its_networks_are_exported_and_verified(tmp_path: Path) -> None:
    former("plain", tmp_path).export(tmp_path / "bundle", models=["g2-2", "g0-3"])
    checks = api.verify(tmp_path / "bundle")
    assert {check.file.name for check in checks} == {"g2-2.onnx", "g0-3.onnx"}
    assert all(check.passed for check in checks)


def test_its_fault_campaign_goes_on(tmp_path: Path) -> None:
    run = former("plain", tmp_path)
    before = (run.folder / JOURNAL).read_text().splitlines()
    run.faults(models=["g0-3"], faults=["single"], half_width=3.0)
    after = (run.folder / JOURNAL).read_text().splitlines()
    assert (len(before), after[: len(before)]) == (41, before)
    assert len(after) == pytest.approx(95, abs=20)  # 94 faults where it was made; where to stop depends on the last digits


@pytest.mark.parametrize("name", RESUMED)
def test_it_is_resumed_as_if_by_its_own_version(name: str, tmp_path: Path) -> None:
    run = in_this_process(former(name, tmp_path))
    before = {entry.id: dict(entry.row.values) for entry in run.rows()}
    ended = run.resume(generations=3)
    assert (ended.reused, ended.trained) == (14, 3)
    after = {entry.id: entry for entry in run.rows()}
    assert {candidate_id: dict(after[candidate_id].row.values) for candidate_id in before} == before
    for candidate_id, (parent, operator, parameters, error) in RESUMED[name].items():
        entry = after[candidate_id]
        assert (entry.row.parent, entry.row.operator, entry.value("parameters")) == (parent, operator, parameters)
        assert entry.value("error") == pytest.approx(error, abs=SAME_CPU)


def test_its_latencies_count_on_the_device_that_they_were_measured_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = in_this_process(former("latency", tmp_path))
    with RunStore.open(run.folder, write=False) as store:
        its_own = store.meta("device_fingerprint_sha256", str)
    monkeypatch.setattr(Fingerprint, "sha256", lambda self: its_own)  # as if this were that machine
    assert (run.resume(generations=3).reused, len(run.rows())) == (14, 17)
    with RunStore.open(run.folder, write=False) as store:
        measured = [m.architecture_id for m in store.measurements("search")]
        found = list(store.rows())
    assert (len(measured), set(measured)) == (17, {row.architecture_id for row in found})  # those of before not again
    assert all(row.cheap["latency_ms"] > 1e-3 for row in found if row.generation == 3)  # predicted from those of before


@pytest.mark.slow
def test_it_is_measured_anew_on_another_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = in_this_process(former("latency", tmp_path))
    monkeypatch.setattr(Fingerprint, "sha256", lambda self: "another machine")
    assert run.resume(remeasure=True).reused == 14
    assert seen(run.rows()).items() >= FRONTS["latency"].items()
