"""A device behind a real sshd: the same agent, one connection, clear words when it fails, found again when lost."""

import dataclasses
import getpass
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from hwnas.device import Device, HardwareProfile, load_profile, open_device, session
from hwnas.device.channel import agent_command
from hwnas.device.ssh import delays_s
from hwnas.errors import DeviceError, DeviceUnreachableError, ModelError
from tests.device.conftest import Server, free_port, start_sshd
from tests.device.models import conv_net, one_node
from tests.execution.conftest import words_of

LOADED_S = 2.0  # an agent has loaded ONNX Runtime by then, on a busy machine too


@pytest.fixture(scope="module")
def device(server: Server, device_python: Path) -> Iterator[Device]:
    with open_device(server.profile(device_python)) as opened:
        yield opened


def agents() -> list[psutil.Process]:
    """Agents that the servers of this process started on the loopback device, and not those of tests beside it."""
    return [process for process in psutil.Process().children(recursive=True) if is_agent(words_of(process))]


def is_agent(words: list[str]) -> bool:
    return len(words) == 3 and "agent.py" in words[2] and "hwnas-test-device" in words[0]


def newest_agent() -> psutil.Process:
    return max(agents(), key=lambda process: process.create_time())


def test_it_measures_and_predicts_like_the_local_device(device: Device) -> None:
    latency = device.measure(conv_net(), half_width=0.1, time_limit_s=0.5)
    assert 0 < latency.latency_ms < 10
    images = np.random.default_rng(0).random((300, 3, 8, 8), dtype=np.float32)
    here = session(conv_net(batch="N"), load_profile("local-cpu")).run(None, {"x": images})[0]
    np.testing.assert_allclose(device.predict(conv_net(batch="N"), images), here, atol=1e-5)
    assert device.noise(0.05).reference_ms > 0


def test_it_runs_in_the_bare_environment_over_one_connection(device: Device) -> None:
    before = {process.pid for process in agents()}
    for _ in range(3):
        device.measure(conv_net(), half_width=0.5, time_limit_s=0.1)
    assert {process.pid for process in agents()} == before
    assert "hwnas-test-device" in newest_agent().exe() or "hwnas-test-device" in newest_agent().cmdline()[0]


def test_a_bad_model_leaves_the_agent_at_work(device: Device) -> None:
    before = newest_agent().pid
    with pytest.raises(ModelError, match=r"127\.0\.0\.1: onnxruntime .* is not a registered function"):
        device.measure(one_node("Fancy", [1], domain="nobody.knows"), half_width=0.5, time_limit_s=0.1)
    device.measure(conv_net(), half_width=0.5, time_limit_s=0.1)
    assert newest_agent().pid == before


def test_an_agent_killed_between_requests_costs_nothing(device: Device) -> None:
    newest_agent().kill()
    assert device.measure(conv_net(), half_width=0.5, time_limit_s=0.1).latency_ms > 0


def test_an_agent_killed_half_way_costs_nothing_but_time(device: Device) -> None:
    victim = newest_agent()
    timer = threading.Timer(0.3, victim.kill)
    timer.start()
    started = time.monotonic()
    latency = device.measure(conv_net(), half_width=1e-6, time_limit_s=0.8)
    timer.join()
    assert latency.elapsed_s >= 0.8
    assert time.monotonic() - started >= 1.1
    assert newest_agent().pid != victim.pid


def test_closing_ends_the_agent_and_closing_twice_is_fine(server: Server, device_python: Path) -> None:
    opened = open_device(server.profile(device_python))
    agent = newest_agent()
    opened.close()
    opened.close()
    agent.wait(timeout=5)
    assert agent not in agents()


def test_closing_lets_the_request_of_another_thread_end(server: Server, device_python: Path) -> None:
    opened, found = open_device(server.profile(device_python)), []
    measuring = threading.Thread(
        target=lambda: found.append(opened.measure(conv_net(), half_width=1e-6, time_limit_s=1.0)), daemon=True
    )
    measuring.start()
    time.sleep(0.3)
    opened.close()
    measuring.join(10)
    assert found
    with pytest.raises(DeviceError, match="'loopback' was closed; open it again"):
        opened.noise(0.1)


def test_a_model_that_kills_every_agent_is_given_up(server: Server, device_python: Path) -> None:
    with open_device(server.profile(device_python, reconnect_limit_s=20.0)) as opened:
        done = threading.Event()

        def kill_all() -> None:
            while not done.wait(0.05):
                with suppress(psutil.NoSuchProcess, ValueError):
                    used = newest_agent().cpu_times()
                    if used.user + used.system > 1.2:  # more than an agent takes to start: it is measuring
                        newest_agent().kill()

        killer = threading.Thread(target=kill_all)
        killer.start()
        try:
            with pytest.raises(ModelError, match=r"127\.0\.0\.1: the agent was killed by KILL.*it cannot run the model"):
                opened.measure(conv_net(), half_width=1e-6, time_limit_s=60.0)
        finally:
            done.set()
            killer.join()
        assert opened.measure(conv_net(), half_width=0.5, time_limit_s=0.1).latency_ms > 0  # the device stays of use


def test_an_unknown_host_key_is_refused(server: Server, device_python: Path, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("")
    command = rf"ssh -p {server.port} -o UserKnownHostsFile={tmp_path}/known_hosts {getpass.getuser()}@127\.0\.0\.1"
    with pytest.raises(DeviceError, match=rf"host key .* accept it once with `{command}`") as caught:
        open_device(server.profile(device_python, known_hosts=str(tmp_path / "known_hosts")))
    assert not isinstance(caught.value, DeviceUnreachableError)


@pytest.mark.parametrize("greeting", ["""echo Welcome; echo '{"uptime": 3}'""", "printf 'without a line end'"])
def test_a_greeting_before_the_answers_is_passed_over(greeting: str, server: Server, device_python: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"""#!/bin/sh\n{greeting}; exec {device_python} "$@"\n""")
    python.chmod(0o755)
    with open_device(server.profile(python, answer_timeout_s=10.0)) as opened:
        assert opened.measure(conv_net(), half_width=0.5, time_limit_s=1.0).latency_ms > 0


def test_nothing_is_written_to_a_device_whose_disk_may_be_full(server: Server, device_python: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"""#!/bin/sh\nulimit -f 0; exec {device_python} "$@"\n""")  # a byte into any file would kill it
    python.chmod(0o755)
    with open_device(server.profile(python)) as opened:
        assert opened.measure(conv_net(), half_width=0.5, time_limit_s=1.0).latency_ms > 0


def test_a_refused_key_says_what_to_do(server: Server, device_python: Path, tmp_path: Path) -> None:
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with pytest.raises(DeviceError, match=r"refused the key .* authorized_keys"):
        open_device(server.profile(device_python, identity_file=str(key)))


def test_a_missing_key_file_is_named(server: Server, device_python: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="absent"):
        open_device(server.profile(device_python, identity_file=str(tmp_path / "absent")))


def test_no_such_host_is_said(server: Server, device_python: Path) -> None:
    with pytest.raises(DeviceUnreachableError, match=r"no-such-host\.invalid: cannot be reached"):
        open_device(server.profile(device_python, host="no-such-host.invalid"))


def test_a_closed_port_is_said(server: Server, device_python: Path) -> None:
    with pytest.raises(DeviceUnreachableError, match="cannot be reached"):
        open_device(server.profile(device_python, port=free_port()))


def test_a_host_that_never_answers_does_not_hang(server: Server, device_python: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(DeviceUnreachableError, match=r"no answer within 0\.5 s"):
            open_device(server.profile(device_python, port=silent.getsockname()[1], connect_timeout_s=0.5))
        assert time.monotonic() - started < 3


def test_no_python_says_how_to_get_one(server: Server) -> None:
    with pytest.raises(DeviceError, match=r"no Python at '/no/such/python' .* apt-get install python3-venv"):
        open_device(server.profile("/no/such/python"))


def test_no_onnxruntime_says_which_command_installs_it(server: Server, tmp_path: Path) -> None:
    subprocess.run(["python3", "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    with pytest.raises(DeviceError, match=rf"No module named '\w+'; .*{python} -m pip install numpy onnxruntime"):
        open_device(server.profile(python))


def test_a_provider_that_the_device_lacks_is_said(server: Server, device_python: Path) -> None:
    given = server.profile(device_python).model_dump()
    given["runtime"]["providers"] = [{"name": "OpenVINOExecutionProvider"}]
    with pytest.raises(DeviceError, match=r"127\.0\.0\.1: .*no OpenVINOExecutionProvider here, it has .*CPU"):
        open_device(HardwareProfile.model_validate(given))


def test_openvino_is_another_device(server: Server, openvino_python: Path, device: Device) -> None:
    given = server.profile(openvino_python).model_dump()
    given["runtime"] = load_profile("openvino-cpu").model_dump()["runtime"]
    images = np.random.default_rng(0).random((1, 3, 8, 8), dtype=np.float32)
    with open_device(HardwareProfile.model_validate(given)) as openvino:
        assert "OpenVINOExecutionProvider" in openvino.fingerprint().providers
        here, there = (at.measure(conv_net(), half_width=0.1, time_limit_s=0.5) for at in (device, openvino))
        np.testing.assert_allclose(openvino.predict(conv_net(), images), device.predict(conv_net(), images), atol=1e-4)
    assert there.fingerprint_sha256 != here.fingerprint_sha256
    assert there.profile_sha256 != here.profile_sha256
    assert there.load_ms > here.load_ms  # it compiles the model


def test_nothing_reaches_the_shell_unquoted(server: Server, tmp_path: Path) -> None:
    victim = tmp_path / "made"
    with pytest.raises(DeviceError, match="no Python at"):
        open_device(server.profile(f"python3; touch {victim}"))
    assert not victim.exists()
    assert shlex.split(agent_command("a b;c", 5)) == [
        "a b;c",
        "-c",
        "import sys;print(flush=True);exec(compile(sys.stdin.buffer.read(5),'agent.py','exec'))",
    ]


@pytest.fixture
def second(server: Server, tmp_path: Path) -> Iterator[Server]:
    """Another sshd with the same keys, for a test to kill."""
    port = free_port()
    for name in ("host", "user.pub"):
        (tmp_path / name).write_bytes((server.identity_file.parent / name).read_bytes())
    (tmp_path / "host").chmod(0o600)
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(server.known_hosts.read_text().replace(f":{server.port} ", f":{port} "))
    process = start_sshd(tmp_path, port)
    yield dataclasses.replace(server, port=port, process=process, known_hosts=known_hosts)
    process.kill()
    process.wait()


def cut(server: Server) -> None:
    """End a server and its connections."""
    for process in [*psutil.Process(server.process.pid).children(recursive=True), server.process]:
        process.send_signal(signal.SIGKILL)
    server.process.wait()


def test_a_lost_server_is_waited_for_and_found_again(device_python: Path, second: Server) -> None:
    restarted: list[subprocess.Popen[bytes]] = []

    def cut_and_restart() -> None:
        cut(second)
        time.sleep(0.5)
        restarted.append(start_sshd(second.known_hosts.parent, second.port))

    with open_device(second.profile(device_python, reconnect_limit_s=20.0)) as opened:
        timer = threading.Timer(0.2, cut_and_restart)
        timer.start()
        latency = opened.measure(conv_net(), half_width=1e-6, time_limit_s=0.8)
        timer.join()
        assert latency.elapsed_s >= 0.8
        assert latency.reference_nominal_ms == opened.reference_nominal_ms
    restarted[0].kill()
    restarted[0].wait()


def test_a_device_that_stays_away_ends_in_one_clear_error(device_python: Path, second: Server) -> None:
    with open_device(second.profile(device_python, reconnect_limit_s=0.5)) as opened:
        cut(second)
        with pytest.raises(DeviceUnreachableError, match=r"tried for 0\.5 s to reconnect\. Resume"):
            opened.measure(conv_net(), half_width=0.1, time_limit_s=0.1)


def test_an_agent_that_does_not_answer_in_time_is_given_up(server: Server, device_python: Path) -> None:
    with open_device(server.profile(device_python, answer_timeout_s=LOADED_S, reconnect_limit_s=0.0)) as opened:
        stuck = newest_agent()
        stuck.suspend()
        started = time.monotonic()
        assert opened.measure(conv_net(), half_width=0.5, time_limit_s=0.1).latency_ms > 0
        assert time.monotonic() - started >= LOADED_S
        stuck.kill()


def test_the_answer_to_an_interrupted_request_is_not_taken_for_the_next_one(device: Device) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run as a background job
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        device.measure(conv_net(), half_width=1e-6, time_limit_s=1.0)
    timer.join()
    signal.signal(signal.SIGINT, before)
    assert device.predict(conv_net(4), np.ones((1, 3, 8, 8), np.float32)).shape == (1, 4)


def test_pauses_double_and_end() -> None:
    pauses = list(delays_s(0.0))
    assert pauses == [0.0]
    generator = delays_s(1.0)
    assert [next(generator) for _ in range(3)] == [0.0, 0.25, 0.5]
