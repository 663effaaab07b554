"""A search that measures over SSH: a killed agent costs time only, a lost host stops the run, which then continues."""

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from hwnas.cli import app
from hwnas.device import HardwareProfile, open_device
from hwnas.device.device import LinkedDevice
from hwnas.errors import DeviceUnreachableError, RequestError
from hwnas.experiment import Progress, resume, start
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore
from tests.device.conftest import Server, free_port, start_sshd
from tests.device.models import conv_net
from tests.device.test_ssh import cut, second
from tests.execution.conftest import local_workers, until, words_of
from tests.experiment.conftest import front, rows, tiny

INITIAL = len(initial_graphs((1, 8, 8), 10))
ALL = INITIAL + 2
TRAINED_S = 2.0  # longer than a tiny child trains
BUDGET = {"generations": 1, "images_per_child": 1024}
__all__ = ["second"]  # the fixture: an sshd for a test to kill


def toml(profile: HardwareProfile, folder: Path) -> str:
    """The profile as a file that a user would have written."""
    given = profile.model_dump(exclude_none=True)
    lines = [f"{key} = {json.dumps(given[key])}" for key in ("name", "description", "kind")]
    lines += ["[connection]", *(f"{key} = {json.dumps(value)}" for key, value in given["connection"].items())]
    lines += ["[runtime]", 'providers = [{ name = "CPUExecutionProvider" }]', "threads = 1"]
    lines += ["[measurement]", "search_half_width = 0.2", "half_width = 0.2", "search_time_limit_s = 0.3", "time_limit_s = 0.3"]
    path = folder / f"{given['connection']['port']}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def at(phase: str, generation: int, done: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    """A listener that acts once, at that moment of a run."""
    acted = threading.Event()

    def listen(progress: Progress) -> None:
        if (progress.phase, progress.generation, progress.done) == (phase, generation, done) and not acted.is_set():
            acted.set()
            act()

    return listen


def agents_of(server: Server) -> list[psutil.Process]:
    """The agents that this sshd started, and not those of other tests on the same machine; the newest last."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    found = [child for child in children if any("agent.py" in word for word in words_of(child))]
    return sorted(found, key=lambda agent: agent.create_time())


def used_s(folder: Path) -> float:
    with RunStore.open(folder, write=False) as store:
        return float(store.meta("used_s"))


def test_a_killed_agent_costs_nothing_but_time(server: Server, device_python: Path, tmp_path: Path) -> None:
    before = agents_of(server)
    victims: list[psutil.Process] = []

    def kill() -> None:
        victims.append(agents_of(server)[-1])
        victims[-1].kill()

    config = tiny(device=toml(server.profile(device_python), tmp_path), objectives=("error", "latency_ms"), budget=BUDGET)
    ended = start(config, tmp_path / "run", listener=at("measuring", 0, 3, kill))
    assert len(victims) == 1
    assert victims[0] not in before
    assert ended.trained == ALL
    found = rows(tmp_path / "run")
    assert {row.outcome.status for row in found} == {"finished"}
    assert all(0 < row.values["latency_ms"] < 10 and row.values["latency_ci_ms"] > 0 for row in found)
    assert {row.id for row in found if "latency_ms" in row.final} == set(front(tmp_path / "run"))
    until(lambda: agents_of(server) == before)
    with RunStore.open(tmp_path / "run", write=True) as store:
        store.set_meta("device_fingerprint_sha256", "another")
    with pytest.raises(RequestError, match="--remeasure"):
        resume(tmp_path / "run")
    until(lambda: agents_of(server) == before)


def test_a_lost_host_stops_the_run_and_resuming_goes_on(
    device_python: Path, second: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LinkedDevice, "is_elsewhere", True)  # so that a child is being trained when the host is lost
    device = toml(second.profile(device_python, reconnect_limit_s=TRAINED_S), tmp_path)
    others = set(local_workers())
    config = tiny(workers=1, device=device, objectives=("error", "latency_ms"), budget=BUDGET)
    with pytest.raises(DeviceUnreachableError, match=rf"tried for {TRAINED_S:g} s to reconnect\. Resume once it is back"):
        start(config, tmp_path / "run", listener=at("measuring", 1, 1, lambda: cut(second)))
    assert not set(local_workers()) - others
    kept = {row.id: row.outcome for row in rows(tmp_path / "run") if row.outcome is not None}
    assert len(kept) == INITIAL + 1  # it was trained while the host was waited for
    assert used_s(tmp_path / "run") > TRAINED_S
    stopped = CliRunner().invoke(app, ["resume", str(tmp_path / "run"), "--quiet"])
    assert stopped.exit_code == 1
    complaint, advice = stopped.stderr.splitlines()
    assert "cannot be reached" in complaint
    assert advice.endswith(f"Go on with: hwnas resume {tmp_path / 'run'}")
    process = start_sshd(second.known_hosts.parent, second.port)
    try:
        ended = resume(tmp_path / "run")
    finally:
        process.kill()
        process.wait()
    assert (ended.reused, ended.trained) == (INITIAL + 1, 1)
    found = {row.id: row.outcome for row in rows(tmp_path / "run")}
    assert len(found) == ALL
    assert {candidate_id: found[candidate_id] for candidate_id in kept} == kept


def test_another_machine_is_told_from_this_one_by_its_kernel(server: Server, device_python: Path) -> None:
    profile = server.profile(device_python)
    with open_device(profile) as here:
        assert not here.is_elsewhere  # SSH leads back to this machine
        assert isinstance(here, LinkedDevice)
        link = here._link
        for boot_id, is_elsewhere in (("", False), ("another", True)):
            link.configured = {**link.configured, "facts": {**link.configured["facts"], "boot_id": boot_id}}
            assert LinkedDevice(profile, link, None).is_elsewhere == is_elsewhere


def test_devices_says_which_are_reached_and_why_the_others_are_not(server: Server, device_python: Path, tmp_path: Path) -> None:
    with socket.socket() as silent:  # it takes connections and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ports = (server.port, free_port(), silent.getsockname()[1])
        files = [toml(server.profile(device_python, port=port, connect_timeout_s=1.0), tmp_path) for port in ports]
        options = [word for name in ("local-cpu", *files) for word in ("--device", name)]
        started = time.monotonic()
        result = CliRunner().invoke(app, ["devices", "--check", *options])
        assert time.monotonic() - started < 10
    assert result.exit_code == 1, result.output
    here, reached, closed, mute = result.stdout.strip().split("\n\n")
    for facts in (here, reached):
        assert "a fixed yardstick model, run in between, varies by" in facts
    assert "cannot be reached" in closed
    assert "no answer within 1 s" in mute
    assert CliRunner().invoke(app, ["devices", "--check", "--device", files[0]]).exit_code == 0


def test_measure_over_ssh(server: Server, device_python: Path, tmp_path: Path) -> None:
    model, written = tmp_path / "model.onnx", tmp_path / "latency.json"
    model.write_bytes(conv_net())
    device = toml(server.profile(device_python), tmp_path)
    result = CliRunner().invoke(app, ["measure", str(model), "--device", device, "--json", str(written)])
    assert result.exit_code == 0, result.output
    found = json.loads(written.read_text())
    assert 0 < found["latency_ms"] < 10
    assert found["fingerprint"]["onnxruntime"]
