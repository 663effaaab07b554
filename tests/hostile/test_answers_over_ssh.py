"""Wrong answers of a device arrive over a real SSH connection, from a server that only pretends to run the agent."""

import asyncio
import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import numpy as np
import pytest

from hwnas.device import open_device
from hwnas.device.profile import HardwareProfile, Provider, Runtime, Ssh
from hwnas.device.reference import reference_model
from hwnas.errors import DeviceError, ModelError
from tests.hostile.test_answers import TRUE, changed, places

WRONG = {"null": None, "an object": {"a": 1}, "NaN": math.nan, "huge": 10**400, "shape": {"array": "<f8", "shape": [2**62, 9]}}
MAY_BE_NULL = {"memory_kb", "peak_memory_kb"}
FIELDS = [(op, place, name) for op in TRUE for place in places(TRUE[op]) for name in WRONG if place[-1] not in MAY_BE_NULL]
LINES = {"no JSON": b'{"ok": {]\n', "cut off": b'{"ok": {"fa', "another type": b'{"ok": 7}\n', "not text": b'{"ok": \xff}\n'}


class Pretender:
    """An SSH server on loopback that answers ``op`` with ``line`` and everything else as the agent does."""

    def __init__(self, folder: Path) -> None:
        self.op, self.line, self._folder = "", b"", folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(30)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        key = asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.create_server(
            _NoPassword, "127.0.0.1", 0, server_host_keys=[key], process_factory=self._answer, encoding=None
        )
        self.port = server.sockets[0].getsockname()[1]
        known = f"[127.0.0.1]:{self.port} {key.export_public_key().decode()}"
        (self._folder / "known_hosts").write_text(known)
        self._ready.set()
        await self._over.wait()
        server.close()
        await server.wait_closed()

    async def _answer(self, process: Any) -> None:
        try:
            async for line in process.stdin:
                if not line.startswith(b'{"op":'):
                    continue  # the agent's source
                op = json.loads(line)["op"]
                process.stdout.write(self.line if op == self.op else json.dumps({"ok": TRUE[op]}).encode() + b"\n")
                if op == self.op and not self.line.endswith(b"\n"):
                    break
        finally:
            process.exit(0)

    def profile(self) -> HardwareProfile:
        known, tries = str(self._folder / "known_hosts"), {"reconnect_limit_s": 0.5, "connect_timeout_s": 10.0}
        given = {"type": "ssh", "host": "127.0.0.1", "port": self.port, "user": "somebody", "known_hosts": known, **tries}
        runtime = Runtime(providers=(Provider(name="CPUExecutionProvider"),), threads=1)
        connection = Ssh.model_validate(given)
        return HardwareProfile(
            name="pretender", description="answers what it likes", kind="onnxruntime", connection=connection, runtime=runtime
        )

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)


class _NoPassword(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


@pytest.fixture(scope="module")
def pretender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pretender]:
    made = Pretender(tmp_path_factory.mktemp("pretender"))
    yield made
    made.close()


def use(profile: HardwareProfile) -> None:
    with open_device(profile) as device:
        device.measure(reference_model(), half_width=0.5, time_limit_s=0.05)
        device.noise(0.01)
        device.predict(reference_model(), np.zeros((1, 3, 32, 32), np.float32))


def test_the_agent_s_own_answers_are_taken(pretender: Pretender) -> None:
    pretender.op = ""
    use(pretender.profile())


@pytest.mark.parametrize("op", TRUE)
def test_a_wrong_field_is_a_device_error_that_names_both(pretender: Pretender, op: str) -> None:
    for _, place, name in (each for each in FIELDS if each[0] == op):
        pretender.op, pretender.line = op, json.dumps({"ok": changed(TRUE[op], place, WRONG[name])}).encode() + b"\n"
        with pytest.raises(DeviceError, match=r"127\.0\.0\.1: answered") as caught:
            use(pretender.profile())
        assert place[0] in str(caught.value), name


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("op", TRUE)
def test_a_line_that_is_no_answer_is_a_device_error(pretender: Pretender, op: str, name: str) -> None:
    pretender.op, pretender.line = op, LINES[name]
    with pytest.raises((DeviceError, ModelError), match=r"127\.0\.0\.1"):  # an agent that ends each time: it is the model
        use(pretender.profile())
