"""Latencies in real, tiny runs: from an accelerator's numbers, and predicted and measured on this machine."""

import re
from pathlib import Path

import pytest
import torch

from hwnas.api import open_run
from hwnas.config import make_config
from hwnas.device import load_profile
from hwnas.errors import ConfigError, ProfileError
from hwnas.estimate import Accelerator, PredictorReport
from hwnas.experiment import resume, start
from hwnas.report.table import percent
from hwnas.store import RunStore

torch.set_num_threads(1)
TINY = {"workers": 0, "budget": {"generations": 1, "images_per_child": 64}, "lemonade": {"proposals": 12, "accepted": 3}}
PROFILES = Path(__file__).parents[2] / "hardware_profiles"


@pytest.mark.slow
def test_a_search_without_a_device(tmp_path: Path) -> None:
    run, profile = tmp_path / "run", tmp_path / "mine.toml"
    profile.write_text((PROFILES / "example-accelerator.toml").read_text())
    start(make_config(TINY | {"device": str(profile), "limits": {"latency_ms": 0.002}}), run)
    accelerator = Accelerator.of(load_profile("example-accelerator"))
    with RunStore.open(run, write=False) as store:
        rows = [row for row in store.rows() if row.outcome is not None and row.outcome.status == "finished"]
        assert len(rows) >= 6
        for row in rows:
            assert row.values["latency_ms"] == accelerator.latency_ms(row.candidate.graph) == row.candidate.cheap["latency_ms"]
            assert row.values["latency_ms"] <= 0.002
            assert row.values["latency_ci_ms"] == 0
        front = list(store.last_event("ended").payload["front"])
        assert all("test_error" in store.row(member).final for member in front)
        assert list(store.measurements()) == list(store.events("predictor")) == []
    # A run continues with the numbers that it began with, whatever becomes of the file.
    profile.write_text(profile.read_text().replace("200e6", "100e6"))
    resume(run, changes={"generations": 2})
    with RunStore.open(run, write=False) as store:
        later = [row for row in store.rows() if row.generation == 2]
        assert later
        assert all(row.values["latency_ms"] == accelerator.latency_ms(row.candidate.graph) for row in later)


def test_missing_numbers_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text('name = "mine"\ndescription = "no numbers"\nkind = "analytic"\n')
    with pytest.raises(ProfileError, match="processing_elements"):
        start(make_config(TINY | {"device": str(profile)}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_limit_that_no_network_meets_is_known_before_the_search(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="latency_ms"):
        start(make_config(TINY | {"device": "example-accelerator", "limits": {"latency_ms": 1e-6}}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_records_how_well_it_predicted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="hwnas")
    run, profile = tmp_path / "run", tmp_path / "brief.toml"
    stated = (PROFILES / "local-cpu.toml").read_text()
    profile.write_text(re.sub(r"time_limit_s = [\d.]+", "time_limit_s = 0.05", stated))
    start(make_config(TINY | {"device": str(profile)}), run)
    resume(run, changes={"generations": 2})
    with RunStore.open(run, write=False) as store:
        assert [event.generation for event in store.events("predictor")] == [0, 1, 2]  # a replay records nothing twice
        reports = [event.payload for event in store.events("predictor", PredictorReport)]
        rows = [row for row in store.rows() if row.generation == 2]
        measured = {m.architecture_id: m.latency["latency_ms"] for m in store.measurements("search")}
    assert [report.of for report in reports] == ["leave_one_out", "generation", "generation"]
    assert reports[2].predicted_ms == tuple(row.candidate.cheap["latency_ms"] for row in rows)
    assert reports[2].measured_ms == tuple(measured[row.candidate.architecture_id] for row in rows)
    pooled = PredictorReport.pooled(reports)
    assert pooled.median_error is not None
    assert pooled.median_error < 0.5
    told = [record.getMessage() for record in caplog.records if "latency predictor" in record.message]
    assert [line.split(":")[0] for line in told] == [f"latency predictor, generation {number}" for number in range(3)]
    assert told[2].endswith(f"so far: {pooled.as_text()}")  # an earlier session's generations among them
    assert (open_run(run).predictor_error() or "").startswith(f"median absolute error {percent(pooled.median_error)}, Spearman")
    page = open_run(run).report().read_text(encoding="utf-8")
    assert f"median absolute error {percent(pooled.median_error)}, Spearman" in page
    assert f"out of sample, on {len(pooled.measured_ms)} networks" in page
