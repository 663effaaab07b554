"""``Run.faults`` and ``hwnas faults`` on a tiny real run: figures, files to go on with, what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwnas.api import Run, open_run
from hwnas.campaign import Stage
from hwnas.cli import app
from hwnas.errors import ConfigError, RequestError
from tests.conftest import Made


@pytest.fixture
def run(tiny_run: Made, tmp_path: Path) -> Run:
    return open_run(shutil.copytree(tiny_run.folder, tmp_path / "copy"))


def best(run: Run) -> str:
    """Others of so short a search are hardly better than chance."""
    return run.front()[0].id


@pytest.mark.parametrize(("dtype", "target"), [("float32", "weights"), ("bfloat16", "activations"), ("int8", "weights")])
def test_a_model_of_a_run_is_faulted_in_every_format(run: Run, dtype: str, target: str) -> None:
    seen: list[Stage] = []
    model = best(run)
    found = run.faults(models=model, dtype=dtype, target=target, bers="1e-5,1e-3,1e-1", half_width=5.0, watch=seen.append)
    (network,) = found.networks
    assert (network.model, network.dtype, network.target) == (model, dtype, target)
    entry = next(entry for entry in run.front() if entry.id == model)
    assert network.clean_error == pytest.approx(entry.value("error"), abs=0.001 if dtype == "float32" else 0.06)
    assert network.single is not None
    assert network.curve is not None
    assert 0 < network.single.changed.value < 1
    accuracies = [each.value for each in network.curve.summary.accuracies]
    assert accuracies[0] > accuracies[2]
    assert {stage.what for stage in seen} == {"single", "ber"}
    assert {path.suffix for path in (run.folder / "faults").iterdir()} == {".jsonl", ".lock"}


def test_a_campaign_is_gone_on_with_to_a_narrower_interval(run: Run) -> None:
    model = best(run)
    wide = run.faults(models=model, faults=["single"], half_width=4.0).networks[0]
    (path,) = (run.folder / "faults").glob("*.jsonl")
    before = path.read_bytes()
    again = run.faults(models=model, faults=["single"], half_width=4.0).networks[0]
    assert path.read_bytes() == before
    assert again.single == wide.single
    narrow = run.faults(models=model, faults=["single"], half_width=0.25).networks[0]
    assert path.read_bytes().startswith(before)
    assert narrow.rows[: len(wide.rows)] == wide.rows
    assert len(narrow.rows) > len(wide.rows)
    assert narrow.single is not None
    assert narrow.single.drop.half_width <= 0.25


def test_other_bit_error_rates_in_any_order_leave_the_single_faults_as_they_are(run: Run) -> None:
    model = best(run)
    one = run.faults(models=model, bers="1e-3,1e-1", half_width=9.0)
    other = run.faults(models=[model, model], bers="1e-2,1e-5", faults=["single"], half_width=9.0)
    assert other.networks[0].single == one.networks[0].single
    with pytest.raises(ConfigError, match=r"another campaign \(bers differ"):
        run.faults(models=model, bers="1e-2,1e-5", half_width=9.0)
    (curve,) = (run.folder / "faults").glob("*-ber-*.jsonl")
    written = curve.read_text()
    curve.write_text(written.replace('"hwnas faults ', '"hwnas faults 0'))
    with pytest.raises(ConfigError, match="another version of hwnas"):
        run.faults(models=model, bers="1e-2,1e-5", half_width=9.0)
    curve.rename(run.folder / "faults" / "before")
    found = run.faults(models=model, bers="1e-2,1e-5", half_width=9.0).networks[0].curve
    assert found is not None
    assert found.bers == (1e-5, 1e-2)


def test_files_are_written_though_nobody_reads_what_is_printed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*table: object) -> None:
        raise SystemExit(1)  # as rich does where the pipe is broken

    monkeypatch.setattr("hwnas.cli.console.show_table", closed)
    options = ("--models", best(run), "--fault", "single", "--half-width", "20", "--quiet")
    files = tmp_path / "faults.json", tmp_path / "faults.html"
    done = CliRunner().invoke(app, ["faults", str(run.folder), *options, "--json", str(files[0]), "--plot", str(files[1])])
    assert done.exit_code == 1
    assert all(file.stat().st_size > 1000 for file in files)


def test_the_command_prints_tables_writes_every_fault_and_plots(run: Run, tmp_path: Path) -> None:
    two = run.front()[:2]
    written = tmp_path / "faults.json"
    options = ["--models", ",".join(entry.id for entry in two), "--ber", "1e-4,1e-2", "--half-width", "5", "--json", str(written)]
    result = CliRunner().invoke(app, ["faults", str(run.folder), *options])
    assert result.exit_code == 0, result.output
    assert all(entry.id in result.stdout for entry in two)
    assert all(f"{entry.id}: single, " in result.stderr for entry in two)  # progress, every two seconds at most
    content = json.loads(written.read_text())
    for network in content["networks"]:
        singles = [row for row in network["rows"] if "layer" in row]
        assert len(singles) == network["single"]["faults"]
        assert {"layer", "index", "bits", "direction", "old", "new", "drop"} <= singles[0].keys()
        assert network["single"]["drop"]["low"] <= network["single"]["drop"]["value"] <= network["single"]["drop"]["high"]
    assert len(content["by_drop"]) == len(content["by_area"]) == 1
    assert np.isfinite(content["by_drop"][0]["p_holm"])
    page = (run.folder / "report.html").read_text()
    assert "<title>hwnas: copy</title>" in page[:300]
    assert all(f'"model":"{entry.id}"' in page for entry in two)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ber", "2,3"), ("bit error rate",)),
        (("--ber", "often"), ("often", "1e-6")),
        (("--dtype", "int4"), ("int4", "bfloat16")),
        (("--fault", "melt"), ("melt", "stuck-at")),
        (("--target", "screen"), ("screen", "activations")),
        (("--half-width", "0"), ("half-width",)),
        (("--models", "g9-9"), ("no model g9-9",)),
        (("--models", "none", "--onnx", "absent.onnx"), ("absent.onnx",)),
        (("--models", "none"), ("--onnx", "front")),
        (("--fault", "single,ber,stuck-at"), ("single and stuck-at", "one of them at a time")),
    ],
)
def test_wrong_campaigns_are_refused_and_nothing_is_written(
    tiny_run: Made, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(app, ["faults", str(tiny_run.folder), *options])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert all(word in result.stderr for word in words), result.stderr
    assert not (tiny_run.folder / "faults").exists()


def test_an_int8_file_is_not_taken_for_a_float_one(run: Run, tmp_path: Path) -> None:
    model = best(run)
    run.export(tmp_path / "bundle", models=model, precisions=("float32", "int8"))
    files = {dtype: tmp_path / "bundle" / name for dtype, name in (("float32", f"{model}.onnx"), ("int8", f"{model}.int8.onnx"))}
    with pytest.raises(ConfigError, match="int8"):
        run.faults(models=(), onnx=[files["int8"]], faults=["single"])
    for dtype, file in files.items():
        found = run.faults(models=(), onnx=[file], faults=["single"], dtype=dtype, half_width=5.0)
        assert found.networks[0].model == file.name
    with pytest.raises(RequestError):
        run.faults(models="g9-9")
