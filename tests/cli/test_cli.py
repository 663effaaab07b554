"""The commands: real processes for what a process is (streams, exit codes, imports), in process for bad input."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hwnas import __version__
from hwnas.api import open_run
from hwnas.candidate import Outcome
from hwnas.cli import app
from hwnas.cli.options import size
from hwnas.config import RunConfig
from hwnas.device import load_profile
from hwnas.errors import ConfigError
from hwnas.export import emit
from hwnas.report import thinned_front
from hwnas.store import RunStore, content_hash
from tests.conftest import TINY, Made, hwnas
from tests.export.samples import random_state
from tests.graphs import SAMPLES
from tests.store.store_samples import finished, initial, weights_of

FIELDS = {
    "id", "error", "parameters", "macs", "latency_ms", "latency_ci_ms", "sensitivity", "parent", "operator", "generation",
    "status",
}  # fmt: skip
COMMANDS = (
    "config",
    "data",
    "search",
    "resume",
    "front",
    "pick",
    "export",
    "verify",
    "measure",
    "devices",
    "report",
    "watch",
    "compare",
    "faults",
)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result, code: int, *words: str) -> None:
    """One clear message on stderr, nothing on stdout, no traceback."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit | None)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file but the one that SQLite's readers share."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")}


def test_a_search_prints_its_front_and_what_to_do_next(tiny_run: Made) -> None:
    ids, run = [line.split()[0] for line in tiny_run.stdout.splitlines()[1:]], open_run(tiny_run.folder)
    assert ids == [entry.id for entry in thinned_front(run.front(), run.objectives)]
    assert len(ids) >= 3
    assert all(f"  {name} " in tiny_run.stderr for name in ("small", "balanced", "accurate"))
    lines = tiny_run.stderr.splitlines()
    told = dict.fromkeys(line.split(",")[0] for line in lines if line.startswith("generation"))  # one may take longer than 15 s
    assert list(told) == ["generation 0", "generation 1"]
    assert lines[0] == "Data: digits, 10 classes of 104 to 110 training images each, grey"
    assert "hwnas export run --out bundle" in tiny_run.stderr
    assert "predicted" not in tiny_run.stderr  # this run measures no latency
    assert "\x1b" not in tiny_run.stdout + tiny_run.stderr
    log = (tiny_run.folder / "hwnas.log").read_text()
    assert log.count("INFO generation") == 2


def test_resuming_a_finished_run_trains_nothing(tiny_run: Made, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.folder, tmp_path / "copy")
    done = hwnas("resume", copy, "--json", "--quiet")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert (answer["trained"], answer["reused"]) == (0, len(open_run(copy).rows()))
    assert answer["front"] == [entry.id for entry in open_run(tiny_run.folder).front()]
    assert done.stderr == ""


def test_export_and_verify(tiny_run: Made, tmp_path: Path) -> None:
    chosen = [entry.id for entry in open_run(tiny_run.folder).front()][:2]
    bundle = tmp_path / "bundle"
    done = hwnas("export", tiny_run.folder, "--out", bundle, "--models", ",".join(chosen))
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in bundle.glob("*.onnx")} == set(chosen)
    checked = hwnas("verify", bundle, "--data", "digits")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("ok") == 2
    (bundle / f"{chosen[0]}.onnx").write_bytes(b"another")
    spoiled = hwnas("verify", bundle)
    assert spoiled.returncode == 1
    assert "1 of 2 files" in spoiled.stderr
    latency = hwnas("measure", bundle / f"{chosen[1]}.onnx", "--json", tmp_path / "latency.json")
    assert latency.returncode == 0, latency.stderr
    measured = json.loads((tmp_path / "latency.json").read_text())
    assert 0 < measured["latency_ms"] < 10
    assert measured["fingerprint"]["cores"] >= 1


def test_measuring_reads_its_profile_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.onnx").write_bytes(emit(SAMPLES["flat"](), random_state(SAMPLES["flat"]())))
    read, original = [], load_profile
    monkeypatch.setattr("hwnas.device.load_profile", lambda name: read.append(name) or original(name))
    done = CliRunner().invoke(app, ["measure", str(tmp_path / "net.onnx")])
    assert done.exit_code == 0, done.output
    assert "95 % interval" in done.stdout
    assert read == ["local-cpu"]


def test_guarded_models_are_exported_verified_and_faulted(tiny_run: Made, tmp_path: Path) -> None:
    chosen, bundle = open_run(tiny_run.folder).front()[0].id, tmp_path / "bundle"
    result = invoke("export", tiny_run.folder, "--out", bundle, "--models", chosen, "--guard")
    assert result.exit_code == 0, result.output
    assert {path.name for path in bundle.glob("*.onnx")} == {f"{chosen}.onnx", f"{chosen}.guard.onnx"}
    checked = invoke("verify", bundle, "--data", "digits")
    assert (checked.exit_code, checked.stdout.count("ok")) == (0, 2), checked.output
    copy, report = shutil.copytree(tiny_run.folder, tmp_path / "copy"), tmp_path / "faults.json"
    files = [part for name in (f"{chosen}.onnx", f"{chosen}.guard.onnx") for part in ("--onnx", bundle / name)]
    done = invoke("faults", copy, "--models", "none", *files, "--fault", "single", "--half-width", 2, "--json", report, "--quiet")
    assert done.exit_code == 0, done.output
    plain, guard = json.loads(report.read_text())["networks"]
    assert guard["single"]["drop"]["value"] < plain["single"]["drop"]["value"]
    assert (copy / "report.html").exists()


@pytest.mark.skipif(os.name != "posix", reason="process groups")
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    command = [sys.executable, "-c", "from hwnas.cli import main; main()", "search", "--config", "tiny.toml"]
    with subprocess.Popen(
        [*command, "--generations", "10000", "--out", "run"],
        cwd=tmp_path, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / "hwnas.log").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Go on with: hwnas resume run" in err
    assert out == ""
    assert hwnas("front", "run", cwd=tmp_path).returncode == 0  # the folder is a sound run


def test_front_in_every_format(tiny_run: Made) -> None:
    listed = json.loads(invoke("front", tiny_run.folder, "--format", "json").stdout)
    assert listed
    assert all(set(entry) >= FIELDS for entry in listed)
    assert [entry["error"] for entry in listed] == sorted(entry["error"] for entry in listed)
    assert all(0 <= entry["error"] <= 1 and entry["status"] == "finished" and entry["front"] for entry in listed)
    assert all(entry["latency_ms"] is None for entry in listed)  # this run measures none
    rows = list(csv.DictReader(io.StringIO(invoke("front", tiny_run.folder, "--format", "csv").stdout)))
    assert [row["id"] for row in rows] == [entry["id"] for entry in listed]
    assert [float(row["error"]) for row in rows] == [entry["error"] for entry in listed]
    everything = json.loads(invoke("front", tiny_run.folder, "--all", "--format", "json").stdout)
    assert everything[: len(listed)] == listed
    assert len(everything) == len(open_run(tiny_run.folder).rows()) > len(listed)


def test_a_run_without_a_front_says_why(tmp_path: Path) -> None:
    with RunStore.create(tmp_path / "run", config=RunConfig(limits={"memory_kb": 1}).model_dump_json(), meta={}) as store:
        assert "nothing has finished yet" in invoke("front", tmp_path / "run").stderr
        store.add_candidates([initial(0), initial(1, "residual")])
        for slot in range(2):
            store.add_outcome(Outcome(candidate_id=f"g0-{slot}", status="infeasible", values={"parameters": 9.0}), None)
    result = invoke("front", tmp_path / "run")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no network kept to the limits; 2 over a limit, see --all\n"
    assert invoke("front", tmp_path / "run", "--format", "json").stdout == "[]\n"
    assert invoke("front", tmp_path / "run", "--all").stdout.count("over a limit") == 2


def test_a_limit_that_measuring_showed_to_be_impossible_is_a_wrong_request(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    asked = ("search", "--config", tmp_path / "tiny.toml", "--max-latency-ms", "1e-5", "--out", tmp_path / "run")
    for command in (asked, ("resume", tmp_path / "run")):
        result = invoke(*command)
        *said, error = result.stderr.splitlines()  # what is said of the data comes first, for these were measured
        assert said[0].startswith("Data: digits")
        assert error.startswith("error: no network")
        for words in ("latency_ms at most 1e-05", "raise that limit, in a new run", f"hwnas front {tmp_path / 'run'} --all"):
            assert words in error
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Go on with" not in result.stderr
    assert "latency ms" in invoke("front", tmp_path / "run", "--all").stdout


def test_a_front_of_no_use_is_not_passed_off_as_one(tmp_path: Path) -> None:
    config = RunConfig(objectives=("error", "parameters"), max_error=0.25).model_dump_json()
    with RunStore.create(tmp_path / "run", config=config, meta={}) as store:
        store.add_candidates([initial(0), initial(1, "residual")])
        for slot, error in enumerate((0.3, 0.25)):
            data = weights_of(slot)
            store.add_outcome(finished(f"g0-{slot}", data, error), data)
            for command in ("front", "pick"):
                result = invoke(command, tmp_path / "run")
                assert f"g0-{slot}" in result.stdout
                assert ("no network is within 0.25 validation error" in result.stderr) == (error > 0.25)


def test_pick_says_why(tiny_run: Made) -> None:
    front = open_run(tiny_run.folder).front()
    middle = sorted(entry.value("parameters") or 0 for entry in front)[len(front) // 2]
    result = invoke("pick", tiny_run.folder, "--max-parameters", middle, "--prefer", "error=1")
    best = next(entry for entry in front if (entry.value("parameters") or 0) <= middle)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[1].split()[0] == best.id
    assert (lines[1].rstrip().endswith("the choice"), lines[2].rstrip().endswith("runner-up")) == (True, True)
    assert f"{best.id} is the best balance of" in result.stdout
    assert "by error (100 %); no other has a lower value in any of these." in result.stdout
    assert "No model here has less error." in result.stdout
    assert invoke("pick", tiny_run.folder, "--prefer", "error").stdout.splitlines()[1].split()[0] == front[0].id
    assert " is the knee of " in invoke("pick", tiny_run.folder, "--knee", "--max-error", 1).stdout


def test_a_long_front_is_thinned_and_fits_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = RunConfig(objectives=("error", "parameters", "latency_ms", "expected_change")).model_dump_json()
    with RunStore.create(tmp_path / "run", config=config, meta={}) as store:
        store.add_candidates([initial(slot, "residual" if slot % 2 else "plain") for slot in range(48)])
        for slot in range(48):
            data = weights_of(slot)
            size = {"parameters": 900_000.0 - 15_000 * slot, "latency_ms": 0.9 - 0.01 * slot, "latency_ci_ms": 0.0123}
            values = {"error": 0.1 + 0.01 * slot, "error_low": 0.09, "error_high": 0.2, "expected_change": 1234.5, **size}
            store.add_outcome(
                Outcome(candidate_id=f"g0-{slot}", status="finished", values=values, weights=content_hash(data)), data
            )
    short = invoke("front", tmp_path / "run")
    assert (len(short.stdout.splitlines()), max(map(len, short.stdout.splitlines())) <= 80) == (13, True)
    assert "36 more: hwnas front " in short.stderr
    assert "--all-front" in short.stderr
    assert not {"sensitivity", "operator"} & set(short.stdout.splitlines()[0].split())
    assert "Not shown, though the front goes by it: expected change (--all-columns)" in short.stderr
    assert len(invoke("front", tmp_path / "run", "--all-front").stdout.splitlines()) == 49
    assert "operator" in invoke("front", tmp_path / "run", "--all-columns").stdout.splitlines()[0]
    assert len(json.loads(invoke("front", tmp_path / "run", "--format", "json").stdout)) == 48


def test_data_says_what_is_done_to_them() -> None:
    said = invoke("data", "digits")
    assert said.exit_code == 0, said.output
    assert "Data: digits, 10 classes of 104 to 110 training images each, grey" in said.stdout
    assert "8x8 pixels, as they are" in said.stdout
    assert len(said.stdout.splitlines()) == 7 + 1 + 11
    assert json.loads(invoke("data", "digits", "--json", "--metric", "balanced_error").stdout)["metric"] == "balanced_error"
    refused(invoke("data", "nowhere"), 2, "there is no nowhere")
    refused(invoke("data", "digits", "--fit", "squeeze"), 2, "fit", "'squeeze'")


def test_report_writes_one_page(tiny_run: Made, tmp_path: Path) -> None:
    result = invoke("report", tiny_run.folder, "--out", tmp_path / "page.html")
    assert result.stdout.strip() == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 1_000_000
    pictures = invoke("report", tiny_run.folder, "--static", tmp_path / "pictures")
    assert {Path(line) for line in pictures.stdout.splitlines()} == set((tmp_path / "pictures").iterdir())
    refused(
        invoke("report", tiny_run.folder, "--static", tmp_path / "x", "--out", "page.html"), 2, "--out", "one of them at a time"
    )


def test_compare_puts_runs_on_one_page(tiny_run: Made, tmp_path: Path) -> None:
    twin = shutil.copytree(tiny_run.folder, tmp_path / "twin")
    result = invoke("compare", tiny_run.folder, twin, "--out", tmp_path / "page.html")
    assert result.stdout.strip() == str(tmp_path / "page.html")
    refused(invoke("compare", twin, "--out", tmp_path / "page.html"), 2, "two runs or more")


def test_help_has_an_example_for_every_command() -> None:
    for command in COMMANDS:
        result = invoke(command, "--help")
        assert result.exit_code == 0
        assert f"Example: hwnas {command}" in result.stdout
    assert invoke("--version").stdout == f"hwnas {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (("--help",), ("torch", "onnxruntime", "numpy", "hwnas.api")),
        (("front", "RUN"), ("torch", "onnxruntime", "onnx", "plotly", "pymoo", "scipy.special")),
        (("pick", "RUN"), ("torch", "onnxruntime", "onnx", "plotly")),
        (("report", "RUN", "--out", "page.html"), ("torch", "onnxruntime", "onnx", "pymoo", "matplotlib")),
        (("watch", "RUN", "--out", "page.html"), ("torch", "onnxruntime", "onnx", "pymoo", "matplotlib")),
        (("devices",), ("torch", "plotly", "pymoo")),
    ],
)
def test_commands_that_read_load_nothing_heavy(
    arguments: tuple[str, ...], absent: tuple[str, ...], tiny_run: Made, tmp_path: Path
) -> None:
    given = [str(tiny_run.folder) if argument == "RUN" else argument for argument in arguments]
    program = (
        "import sys\nfrom hwnas.cli import app\n"
        f"try:\n    app({given!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print([name for name in {absent!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "[]")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--data", "nowhere"), ("nowhere", "parquet")),
        (("--data", ""), ("data source is empty", "digits")),
        (("--time-budget", "-5m"), ("budget.time", "'-5m'", "30m")),
        (("--generations", "-1"), ("budget.generations", "-1")),
        (("--seed", "-1"), ("seed", "-1")),
        (("--workers", "-1"), ("workers", "-1")),
        (("--workers", "0", "--executor", "ray"), ("workers 0", "executor ray")),
        (("--objectives", "error,speed"), ("speed", "latency_ms")),
        (("--strategy", "magic"), ("magic", "lemonade")),
        (("--metric", "f1"), ("metric", "f1")),
        (("--device", "toaster"), ("toaster", "local-cpu")),
        (("--image-size", "32 by 48"), ("32x48", "'32 by 48'")),
        (("--max-latency-ms", "-1"), ("latency_ms", "-1")),
        (("--config", "missing.toml"), ("missing.toml",)),
    ],
)
def test_a_wrong_search_is_refused_before_anything_is_written(
    options: tuple[str, ...], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(invoke("search", "--out", "run", *options), 2, *words)
    assert not list(tmp_path.iterdir())


def test_wrong_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text('sed = 1\n[budget]\ntyme = "3m"\n')
    refused(invoke("search", "--config", "run.toml", "--out", "run"), 2, "error: run.toml: unknown key", "sed", "budget.tyme")
    Path("run.toml").write_text("seed = 1\n")
    refused(invoke("search", "--config", "run.toml", "--workers", -1, "--out", "run"), 2, "the configuration: workers")
    Path("run.toml").write_text("seed = \n")
    refused(invoke("search", "--config", "run.toml", "--out", "run"), 2, "run.toml is not TOML")
    Path("run.toml").write_text('budget = "3m"\n')
    refused(invoke("search", "--config", "run.toml", "--generations", 1, "--out", "run"), 2, "run.toml: budget", "'3m'")
    Path("profile.toml").write_text('name = "mine"\nkind = "onnxruntime"\n[runtime]\nthreads = 1\n')
    refused(invoke("search", "--device", "profile.toml", "--out", "run"), 2, "field description is missing", "runtime.providers")
    refused(invoke("measure", "model.onnx"), 2, "no model file", "model.onnx")
    Path("model.onnx").write_bytes(b"no model")
    refused(invoke("measure", "model.onnx"), 2, "model.onnx", "expected an ONNX model")
    refused(invoke("measure", "model.onnx", "--shape", "N=many"), 2, "--shape takes NAME=NUMBER", "'N=many'")
    writing = (("measure", "model.onnx", "--json"), ("faults", "run", "--json"), ("faults", "run", "--plot"))
    for command in writing:  # before anything else is looked at
        refused(invoke(*command, "nowhere/file"), 2, "nowhere/file", "no folder nowhere")
        refused(invoke(*command, tmp_path), 2, f"cannot write {tmp_path}", "directory")
        assert not Path("nowhere").exists()
    refused(invoke("verify", tmp_path), 2, "is not a bundle")
    assert not Path("run").exists()


def test_a_folder_that_holds_something_is_not_overwritten(tiny_run: Made, tmp_path: Path) -> None:
    before = contents(tiny_run.folder)
    refused(invoke("search", "--out", tiny_run.folder, "--generations", 1), 2, "already holds a run", "resume")
    refused(invoke("export", tiny_run.folder, "--out", tiny_run.folder), 2, "something else")
    assert contents(tiny_run.folder) == before
    (tmp_path / "file").write_text("mine")
    refused(invoke("search", "--out", tmp_path / "file", "--generations", 1), 2, "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", ["front", "pick", "resume", "report"])
def test_a_folder_that_is_no_run_is_refused(command: str, tmp_path: Path) -> None:
    refused(invoke(command, tmp_path), 2, str(tmp_path), "not the folder of a run")
    assert not list(tmp_path.iterdir())


def test_wrong_questions_about_a_run(tiny_run: Made, tmp_path: Path) -> None:
    run = tiny_run.folder
    refused(invoke("pick", run, "--max-parameters", 1), 1, "parameters at most 1", "the least on the front is")
    assert invoke("pick", run, "--max-parameters", "1M").stdout == invoke("pick", run, "--max-parameters", 1_000_000).stdout
    with pytest.raises(ConfigError, match="with k, M or G behind it where that is shorter, got 'few'"):
        size("few")
    assert invoke("pick", run, "--max-parameters", "few").exit_code == 2
    refused(invoke("pick", run, "--max-latency-ms", 1), 2, "has no latency_ms")
    refused(invoke("pick", run, "--prefer", "beauty=1"), 2, "unknown objective 'beauty'; known are error, parameters")
    refused(invoke("pick", run, "--prefer", "error=much"), 2, "--prefer takes NAME=NUMBER")
    refused(invoke("pick", run, "--max-error", 1e-9), 1, "error at most 1e-09", "the least on the front is error")
    refused(invoke("pick", run, "--knee", "--prefer", "error"), 2, "the knee weighs all objectives alike")
    refused(invoke("pick", run, "--prefer", "error=-1"), 2, "weights of at least 0")
    refused(invoke("pick", run, "--prefer", "error=1,error=2"), 2, "got two for error")
    refused(invoke("pick", run, "--prefer", "memory=1,memory_kb=2"), 2, "several for one: memory, memory_kb")
    refused(invoke("export", run, "--out", tmp_path / "bundle", "--models", "g9-9"), 2, "no model g9-9")
    refused(invoke("export", run, "--out", tmp_path / "bundle", "--models", ""), 2, "no model '' in")
    refused(invoke("export", run, "--out", tmp_path / "bundle", "--precision", "int4"), 2, "int4", "float16")
    refused(invoke("resume", run, "--time-budget", "soon"), 2, "'soon'", "30m")
    refused(invoke("resume", run, "--keep", "some"), 2, "all or front", "'some'")
    assert not (tmp_path / "bundle").exists()
    copy = shutil.copytree(run, tmp_path / "copy")
    refused(invoke("resume", copy, "--seed", 7, "--generations", 9), 2, "this run has seed 0, not 7")
    refused(invoke("resume", copy, "--data", tmp_path, "--generations", 9), 2, f"this run has data digits, not {tmp_path}")
    refused(invoke("resume", copy, "--objectives", "error, macs"), 2, "objectives error,parameters,macs, not error,macs")
    assert open_run(copy).rows() == open_run(run).rows()


def test_only_the_front_is_kept_where_that_is_asked(tiny_run: Made, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.folder, tmp_path / "copy")
    stray = f"{'0' * 64}.safetensors"  # no outcome has ever named it: it is told of, and kept
    (copy / "weights" / stray).write_bytes(b"what a killed search left")
    done = invoke("resume", copy, "--keep", "front", "--seed", 0, "--data", "digits", "--quiet")
    assert done.exit_code == 0, done.output
    run = open_run(copy)
    front = [entry for entry in run.front() if entry.row.outcome is not None]
    names = {f"{entry.row.outcome.weights}.safetensors" for entry in front}
    assert {path.name for path in (copy / "weights").iterdir()} == names | {stray}
    assert len(front) < len(run.rows()) == len(open_run(tiny_run.folder).rows())
    assert [entry.id for entry in front] == [entry.id for entry in open_run(tiny_run.folder).front()]
    assert invoke("export", copy, "--out", tmp_path / "bundle").exit_code == 0  # the whole front is there
    gone = next(entry for entry in run.rows() if not entry.on_front and entry.status == "finished")
    refused(invoke("export", copy, "--out", tmp_path / "other", "--models", gone.id), 1, "were collected")


def test_truncated_weights_stop_an_export(tiny_run: Made, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_run.folder, tmp_path / "copy")
    entry = open_run(copy).front()[0]
    assert entry.row.outcome is not None
    weights = copy / "weights" / f"{entry.row.outcome.weights}.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    refused(invoke("export", copy, "--out", tmp_path / "bundle"), 1, "is damaged", weights.name, "--models")
    other = open_run(copy).front()[1].id
    assert invoke("export", copy, "--out", tmp_path / "others", "--models", other).exit_code == 0  # as the message says
    assert not (tmp_path / "bundle").exists()


def test_a_bug_is_told_as_one(tmp_path: Path) -> None:
    program = (
        "import sys, hwnas.api\nfrom hwnas.cli import main\n"
        "def broken(folder): raise ZeroDivisionError('division by zero')\n"
        "hwnas.api.open_run = broken\nmain()\n"
    )
    for options, traceback in (([], False), (["--verbose"], True)):
        command = [sys.executable, "-c", program, "front", str(tmp_path), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "this is a bug in hwnas: ZeroDivisionError" in done.stderr
        assert ("Traceback" in done.stderr) == traceback
