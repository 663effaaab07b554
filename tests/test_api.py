"""The Python API on a real run, what options mean, and what is shown while a run works."""

import dataclasses
import io
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import hwnas
from hwnas import api
from hwnas.api.options import default_folder, expected_config, image_size, physical_cores
from hwnas.cli.console import LiveProgress
from hwnas.config import RunConfig
from hwnas.data import DataSettings
from hwnas.errors import ConfigError, RequestError, RunFolderError, StoreError, WorkError
from hwnas.experiment import Progress
from hwnas.progress.log_file import Generations, clock, run_log, summary
from hwnas.report import knee_of
from hwnas.settings import DIGITS, Rungs
from hwnas.store import RunStore
from tests.conftest import Made


def test_public_names_load_on_first_use() -> None:
    assert hwnas.open_run is api.open_run
    assert hwnas.start is api.start
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        hwnas.train  # noqa: B018


def test_the_built_in_data_set_has_one_name() -> None:
    assert DataSettings().source == DIGITS


def test_a_run_is_read_as_it_is_now(tiny_run: Made, tmp_path: Path) -> None:
    run = hwnas.open_run(tiny_run.folder)
    assert [objective.name for objective in run.objectives] == ["error", "parameters", "macs"]
    assert run.ended() == "1 generation is done"
    front = run.front()
    for entry in front:  # nobody on the front is dominated by anybody
        values = [entry.value(objective.name) or 0.0 for objective in run.objectives]
        for other in run.rows():
            theirs = [other.value(objective.name) or 0.0 for objective in run.objectives]
            assert theirs == values or any(a > b for a, b in zip(theirs, values, strict=True))
    with pytest.raises(RunFolderError):
        hwnas.open_run(tmp_path)


def test_resume_with_a_larger_budget_goes_on(tiny_run: Made, tmp_path: Path) -> None:
    run = hwnas.open_run(shutil.copytree(tiny_run.folder, tmp_path / "copy"))
    before = len(run.rows())
    seen: list[Progress] = []
    ended = run.resume(generations=2, listener=seen.append)
    assert (ended.reused, ended.trained) == (before, len(run.rows()) - before)
    assert ended.trained > 0
    assert seen[-1].phase == "done"
    assert max(progress.generation for progress in seen) == 2
    with pytest.raises(ConfigError, match="generations"):
        run.resume(generations=-1)


def test_what_no_run_can_be_expected_to_have_is_a_wrong_request() -> None:
    with pytest.raises(ConfigError, match="cannot expect time_budget of a run; what can be expected is data, seed"):
        expected_config({"seed": 0, "time_budget": "3m"})
    assert expected_config({"objectives": ["error", "macs"]}) == expected_config({"objectives": "error, macs"})


def test_pick_is_within_its_limits_and_follows_preferences(tiny_run: Made) -> None:
    run = hwnas.open_run(tiny_run.folder)
    front = run.front()
    assert run.pick(prefer={"error": 1}).entry.id == front[0].id
    smallest = min(front, key=lambda entry: entry.value("parameters") or 0)
    assert run.pick(prefer={"parameters": 1}).entry.id == smallest.id
    only = run.pick({"parameters": smallest.value("parameters") or 0})
    assert [entry.id for entry in only.among] == [smallest.id]
    assert only.reason == f"{smallest.id} is the only model of the front within the limits."
    assert (only.runner_up, only.shown) == (None, [only.entry])
    with pytest.raises(WorkError, match="the least on the front is"):
        run.pick({"macs": 0.5})
    with pytest.raises(RequestError, match=r"has no latency_ms: .* \(the run's objectives are error, parameters, macs\)"):
        run.pick(prefer={"latency": 1})  # the unit may be left out, but this run measured none
    with pytest.raises(ConfigError, match="unknown objective 'beauty'; known are error, parameters"):
        run.pick({"beauty": 0.1})


def test_pick_may_limit_the_error_and_take_the_knee(tiny_run: Made) -> None:
    run = hwnas.open_run(tiny_run.folder)
    front = run.front()
    errors = sorted(entry.value("error") or 0.0 for entry in front)
    assert run.pick({"error": errors[1]}, {"parameters": 1}).entry.value("error") <= errors[1]
    knee = run.pick(knee=True)
    assert knee.entry == knee_of(front, run.objectives)
    assert knee.runner_up == knee_of([entry for entry in front if entry != knee.entry], run.objectives)
    with pytest.raises(ConfigError, match="the knee weighs all"):
        run.pick(prefer={"error": 1}, knee=True)


def test_pick_says_what_the_next_better_model_would_cost(tiny_run: Made) -> None:
    run = hwnas.open_run(tiny_run.folder)
    by_error = run.front()
    picked = run.pick(prefer={"parameters": 1})
    error = picked.entry.value("error") or 0.0
    better = [entry for entry in by_error if (entry.value("error") or 0.0) < error]
    nearest = max(better, key=lambda entry: (entry.value("error"), entry.id))
    assert picked.next_better.startswith(f"Less error: {nearest.id} with ")
    assert " % parameters" in picked.next_better
    assert "o model here has less parameters" in picked.next_better
    assert picked.next_better.count(". ") == 1  # two sentences
    best = run.pick(prefer={"error": 1})
    assert best.next_better.startswith("No model here has less error. Less parameters: ")


def test_exported_metadata_say_where_a_model_comes_from(tiny_run: Made, tmp_path: Path) -> None:
    run = hwnas.open_run(tiny_run.folder)
    entry = run.front()[0]
    manifest = run.export(tmp_path / "bundle", models=entry.id, precisions=("float32", "int8"))
    float32, int8 = manifest.files
    assert float(float32.metadata["validation_error"]) == entry.value("error")
    assert float(float32.metadata["test_error"]) == entry.value("test_error")
    assert float32.metadata["architecture_id"] == entry.row.architecture_id
    assert float32.metadata["hwnas_version"] == hwnas.__version__
    assert len(float32.metadata["test_sha256"]) == 64
    assert json.loads(float32.metadata["data_settings"])["seed"] == 0
    assert int8.evaluated is not None  # nothing else would tell its error
    checks = api.verify(tmp_path / "bundle", "digits")
    assert [check.passed for check in checks] == [True, True]
    assert checks[0].test is not None
    assert checks[0].test.error == pytest.approx(entry.value("test_error"), abs=1.5 / checks[0].test.images)


def test_a_test_error_that_is_not_as_stated_is_a_problem(tiny_run: Made, tmp_path: Path) -> None:
    run = hwnas.open_run(shutil.copytree(tiny_run.folder, tmp_path / "copy"))
    entry = run.front()[0]
    from hwnas.store import RunStore

    with RunStore.open(run.folder, write=True) as store:
        store.set_values(entry.id, {"test_plain_error": (entry.value("test_plain_error") or 0) + 0.01})
    run.export(tmp_path / "bundle", models=entry.id)
    (check,) = api.verify(tmp_path / "bundle", "digits")
    assert not check.passed
    assert "metadata say" in (check.problem or "")


def test_missing_weights_are_said_so(tiny_run: Made, tmp_path: Path) -> None:
    run = hwnas.open_run(shutil.copytree(tiny_run.folder, tmp_path / "copy"))
    shutil.rmtree(run.folder / "weights")
    with pytest.raises(StoreError, match="is missing"):
        run.export(tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_damaged_configuration_is_said_so(tmp_path: Path) -> None:
    RunStore.create(tmp_path / "run", config='{"seed": -1, "colour": 1}', meta={}).close()
    with pytest.raises(StoreError, match=r"stored configuration is damaged: seed.*unknown key colour"):
        hwnas.open_run(tmp_path / "run")


def test_devices_are_checked_and_an_unreachable_one_is_no_error(tmp_path: Path) -> None:
    profile = tmp_path / "away.toml"
    profile.write_text(
        'name = "away"\ndescription = "nobody listens"\nkind = "onnxruntime"\n[connection]\ntype = "ssh"\nhost = "127.0.0.1"\n'
        'port = 1\nreconnect_limit_s = 0\n[runtime]\nproviders = [{ name = "CPUExecutionProvider" }]\nthreads = 1\n'
    )
    here, away = api.devices(check=True, names=["local-cpu", str(profile)])
    assert here.fingerprint is not None
    assert here.facts()["cores"] == str(here.fingerprint.cores)
    assert "yardstick model, run in between, varies by" in here.facts()["noise"]
    assert away.problem is not None
    assert away.facts()["problem"] == away.problem
    assert "that is this machine, and no SSH server listens here" in away.problem
    assert away.reached == "SSH to 127.0.0.1"


def test_options_override_the_file_and_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    Path("mine.toml").touch()
    tables = '[budget]\ntime = "10m"\ngenerations = 7\n[limits]\nparameters = 500\n[rungs]\nkeep = 0.4\n'
    Path("run.toml").write_text(f"seed = 3\nworkers = 1\n{tables}")
    config = api.configured(
        "run.toml", time_budget="30s", data="images", device="mine.toml", max_latency_ms=2.0, image_size="8x16",
        objectives="error, parameters", seed=None, rungs=True,
    )  # fmt: skip
    assert (config.seed, config.workers) == (3, 1)
    assert (config.budget.time, config.budget.generations) == (30.0, 7)
    assert config.limits == {"parameters": 500, "latency_ms": 2.0}
    assert config.rungs == Rungs(keep=0.4, enabled=True)
    assert config.data == DataSettings(source=str(tmp_path / "images"), image_size=(8, 16))
    assert config.device == str(tmp_path / "mine.toml")
    assert config.objectives == ("error", "parameters")
    assert api.configured(config) == config
    with pytest.raises(ConfigError, match="unknown option speed"):
        api.configured(**{"speed": 1})


def test_a_file_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes('[data]\nsource = "Bücher"\n'.encode())
    program = "from pathlib import Path; from hwnas.config import read_config; print(ascii(read_config(Path('run.toml'))))"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    assert done.stdout == "{'data': {'source': 'B\\xfccher'}}\n", done.stderr


def test_defaults_are_digits_here_with_a_worker_a_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = api.configured()
    assert config == RunConfig(workers=physical_cores())
    assert 1 <= config.workers <= (os.cpu_count() or 1)
    folder = default_folder(config)
    assert folder.name.startswith("digits-local-cpu-")
    folder.mkdir(parents=True)
    assert not default_folder(config).exists()


@pytest.mark.parametrize("quota", [1, 3])
def test_default_workers_keep_within_the_quota_of_a_container(quota: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("psutil.cpu_count", lambda logical: 64)
    monkeypatch.setattr("joblib.externals.loky.backend.context._cpu_count_cgroup", lambda cpus: min(cpus, quota))
    assert api.configured().workers == physical_cores() == quota


def test_more_workers_than_this_machine_can_bear_are_refused_but_a_cluster_s_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    for workers in (1, 16, 32):
        assert api.configured(workers=workers).workers == workers
    with pytest.raises(ConfigError, match=r"workers must be at most 32 on this machine.* got 33"):
        api.configured(workers=33)
    with pytest.raises(ConfigError, match="at most 32"):
        api.configured(workers=100_000, executor="ray", ray_address="local")
    assert api.configured(workers=500, executor="ray").workers == 500
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    assert api.configured(workers=16).workers == 16


@pytest.mark.parametrize("text", ["", "32x", "x32", "-1x3", "3x3x3", "axb"])
def test_an_image_size_is_two_numbers(text: str) -> None:
    with pytest.raises(ConfigError, match="height x width"):
        image_size(text)


def moment(**changes: object) -> Progress:
    return Progress(**{"phase": "training", "generation": 0, **changes})


def test_one_line_a_generation() -> None:
    lines: list[int] = []
    listen = Generations(lambda progress: lines.append(progress.generation))
    for progress in (
        moment(phase="preparing"), moment(phase="measuring"), moment(), moment(), moment(generation=1), moment(generation=1),
        moment(phase="finishing", generation=1), moment(phase="done", generation=1),
    ):  # fmt: skip
        listen(progress)
    assert lines == [0, 1]


def test_a_moment_in_one_line() -> None:
    found = {"trained": 20, "failed": 2, "front_size": 5, "best_error": 0.0123, "hypervolume": 0.5}
    progress = moment(generation=3, elapsed_s=3700, left_s=65, **found)
    assert summary(progress) == "generation 3, 20 trained, 2 failed, front 5, best error 1.23 %, 1:05 left"
    without = dataclasses.replace(progress, left_s=None, stopped=12, failed=0)
    assert summary(without) == "generation 3, 20 trained, 12 stopped early, front 5, best error 1.23 %"
    assert "best balanced error 1.23 %" in summary(dataclasses.replace(progress, metric="balanced_error"))
    many = dataclasses.replace(progress, generation=123, trained=98765, stopped=5000, failed=1000, front_size=999)
    assert len(summary(many)) <= 80
    assert summary(many).startswith("generation 123, 98765 trained, ")
    assert summary(many).endswith("best error 1.23 %, 1:05 left")
    assert clock(0) == "0:00"


def test_live_progress_shows_what_there_is_to_know() -> None:
    said = list[str]()
    live = LiveProgress(said.append)
    for _ in range(2):
        live(moment(phase="preparing", message="Data: digits"))
    assert said == ["Data: digits"]
    live(moment(generation=4, done=3, total=8, front_size=6, best_error=0.02, elapsed_s=60, left_s=120))
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    console.print(live)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(words in text for words in ("generation 4: training", "3/8", "2:00 left", "front 6", "best error 2.00 %"))


def test_the_log_begins_with_the_run_and_keeps_what_came_before(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def work() -> None:
        with run_log(folder) as listen:
            logging.getLogger("hwnas.device").warning("before there was a folder")
            folder.mkdir()
            listen(moment())
            listen(moment(generation=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    text = (folder / "hwnas.log").read_text()
    assert [text.count(words) for words in ("before there was a folder", "generation 0", "Traceback")] == [1, 1, 1]
    assert not logging.getLogger("hwnas").handlers


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's device that is always full")
def test_a_log_on_a_full_disk_is_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hwnas.log").symlink_to("/dev/full")
    with run_log(tmp_path) as listen:
        listen(moment())
        logging.getLogger("hwnas.device").warning("nowhere to go")
    assert capsys.readouterr().err == ""


def test_no_log_where_no_run_came_of_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError), run_log(tmp_path / "run"):
        raise ConfigError("no")
    assert not (tmp_path / "run").exists()


def test_what_there_is_completes_and_says_what_it_is(tiny_run: Made) -> None:
    assert {"start", "open_run", "measure", "verify", "devices", "Run"} <= set(dir(hwnas))
    assert [getattr(hwnas, name) for name in ("measure", "verify", "devices")] == [api.measure, api.verify, api.devices]
    run = hwnas.open_run(tiny_run.folder)
    count = len(run.front())
    assert repr(run) == f"<hwnas run in {tiny_run.folder}: {count} networks on the front, 1 generation is done>"
    picked = run.pick(prefer={"error": 1})
    assert repr(picked).startswith(f"<{picked.entry.id}, picked among {count} models. ")
    assert len(repr(picked)) < 300
