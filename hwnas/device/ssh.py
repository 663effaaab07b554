"""The way to an agent on another machine: one SSH connection and one agent for a whole search, found again when lost.

The agent's source goes to a bare interpreter over stdin, so nothing is written to the device. The only thing a shell there
sees is the quoted interpreter and a constant program. Hosts, users, keys and jump hosts come from the user's own
ssh configuration and agent; a host key that known_hosts does not hold is refused. Every wait has a limit.
"""

import asyncio
import json
import logging
import shlex
import threading
import time
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import suppress
from importlib import resources
from typing import Any, TypeVar

import asyncssh

from hwnas.device.agent import decode, encode
from hwnas.device.fingerprint import Fingerprint
from hwnas.device.link import as_error
from hwnas.device.profile import Ssh
from hwnas.errors import DeviceError, DeviceUnreachableError

log = logging.getLogger(__name__)

ATTEMPTS_PER_REQUEST = 3
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 8.0
KEEPALIVE_S = 5.0
READ_BYTES = 1 << 16
STDERR_LINES = 20

T = TypeVar("T")


def agent_command(python: str, source_bytes: int) -> str:
    """The remote command: an interpreter that reads the agent's source from stdin and runs it, quoted for a POSIX shell."""
    program = f"import sys;exec(compile(sys.stdin.buffer.read({source_bytes}),'agent.py','exec'))"
    return f"{shlex.quote(python)} -c {shlex.quote(program)}"


def delays_s(limit_s: float) -> Iterator[float]:
    """Pauses before each attempt to reconnect: at once, then doubling from 0.25 s to 8 s, until `limit_s` are used up."""
    yield 0.0
    started, delay_s = time.monotonic(), FIRST_DELAY_S
    while time.monotonic() - started + delay_s <= limit_s:
        yield delay_s
        delay_s = min(2 * delay_s, LONGEST_DELAY_S)


class _Channel:
    """One agent at the other end of one connection; lives in the link's event loop, and dies at the first trouble."""

    def __init__(self, settings: Ssh) -> None:
        self._settings = settings
        self._stderr: deque[bytes] = deque(maxlen=STDERR_LINES)
        self._buffer = bytearray()
        self._is_between_requests = False

    async def open(self) -> None:
        """Connect and start the agent."""
        source = resources.files("hwnas.device").joinpath("agent.py").read_bytes()
        self._connection = await self._connect()
        self._process = await self._connection.create_process(agent_command(self._settings.python, len(source)), encoding=None)
        self._reader = asyncio.create_task(self._keep_stderr())
        self._process.stdin.write(source)
        self._is_between_requests = True

    async def _connect(self) -> asyncssh.SSHClientConnection:
        given, where = self._settings, self._settings.host
        options: dict[str, Any] = {"port": given.port, "username": given.user, "known_hosts": given.known_hosts}
        options["client_keys"] = [given.identity_file] if given.identity_file else None
        options["config"] = [given.config_file] if given.config_file else None
        try:
            async with asyncio.timeout(given.connect_timeout_s):
                return await asyncssh.connect(
                    where, keepalive_interval=KEEPALIVE_S, **{key: value for key, value in options.items() if value}
                )
        except asyncssh.HostKeyNotVerifiable as error:
            advice = f"check the key's fingerprint, then accept it once with `ssh {where}`"
            raise DeviceError(
                f"{where}: its host key is not the one in known_hosts, or unknown ({error.reason}); {advice}"
            ) from error
        except asyncssh.PermissionDenied as error:
            raise DeviceError(
                f"{where}: refused the key ({error.reason}); add yours to the device's authorized_keys, "
                "or name another in the profile's connection.identity_file"
            ) from error
        except (ValueError, FileNotFoundError, PermissionError) as error:
            raise DeviceError(f"{where}: the ssh configuration or key cannot be used: {error}") from error
        except TimeoutError as error:
            raise DeviceUnreachableError(f"{where}: no answer within {given.connect_timeout_s:g} s; is it on?") from error
        except (OSError, asyncssh.Error) as error:
            raise DeviceUnreachableError(f"{where}: cannot be reached: {error}; check its name, port and network") from error

    async def _keep_stderr(self) -> None:
        with suppress(asyncssh.Error, OSError):
            async for line in self._process.stderr:
                self._stderr.append(line)

    async def ask(self, op: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send one request and wait for its answer."""
        if not self._is_between_requests:
            raise DeviceUnreachableError(f"{self._settings.host}: the last request was given up half-way")
        self._is_between_requests = False
        try:
            self._process.stdin.write(json.dumps({"op": op, **arguments}, default=encode).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._answer_line()
        except (OSError, asyncssh.Error) as error:
            raise DeviceUnreachableError(f"{self._settings.host}: the connection broke: {error}") from error
        if line is None:
            raise await self._why_it_ended()
        self._is_between_requests = True
        answer: Mapping[str, Any] = json.loads(line, object_hook=decode)
        return answer

    async def _answer_line(self) -> bytes | None:
        """The next line that is an answer, not a greeting of the login shell; None at the end of the output."""
        while True:
            while (end := self._buffer.find(b"\n")) < 0:
                chunk = await self._process.stdout.read(READ_BYTES)
                if not chunk:
                    return None
                self._buffer += chunk
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if line.startswith(b'{"'):
                return line

    async def _why_it_ended(self) -> DeviceError:
        host, python = self._settings.host, self._settings.python
        await self._process.wait_closed()
        await self._reader
        said = b"".join(self._stderr).decode(errors="replace").strip()
        last = said.splitlines()[-1] if said else "without a word"
        code, signal = self._process.exit_status, self._process.exit_signal
        if code in (126, 127):
            return DeviceError(
                f"{host}: no Python at {python!r} ({last}); install it (Debian: sudo apt-get install python3-venv), "
                "or name the interpreter in the profile's connection.python"
            )
        if "No module named" in last:
            return DeviceError(f"{host}: {last}; install it there with: {python} -m pip install numpy onnxruntime")
        if code is not None and code > 0 and "Error" in last:
            return DeviceError(f"{host}: the agent failed: {last}; it needs Python 3.10, numpy and onnxruntime 1.18, or newer")
        ended = f"was killed by {signal[0]}" if signal else "ended" if code is not None else "was cut off"
        return DeviceUnreachableError(f"{host}: the agent {ended} ({last})")

    async def close(self) -> None:
        """Hang up; the agent ends with its input."""
        if hasattr(self, "_connection"):
            self._connection.abort()


class SshLink:
    """An agent on another machine, configured again after each reconnection."""

    def __init__(self, settings: Ssh, configuration: Mapping[str, Any]) -> None:
        self._settings = settings
        self._configuration = configuration
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"ssh {settings.host}", daemon=True)
        self._thread.start()
        self._channel: _Channel | None = None
        self.configured: Mapping[str, Any] = {}
        try:
            self.configured = self._connect()
        except DeviceError:
            self.close()
            raise

    def _wait(self, work: Coroutine[Any, Any, T], limit_s: float, what: str) -> T:
        """Do the work in the loop's thread; a wait that is broken off, by time or by the user, cancels it."""

        async def limited() -> T:
            async with asyncio.timeout(limit_s):
                return await work

        future = asyncio.run_coroutine_threadsafe(limited(), self._loop)
        try:
            return future.result()
        except TimeoutError as error:
            raise DeviceUnreachableError(f"{self._settings.host}: no answer to {what!r} within {limit_s:g} s") from error
        finally:
            future.cancel()

    def _connect(self) -> Mapping[str, Any]:
        self._hang_up()
        self._channel = _Channel(self._settings)
        self._wait(self._channel.open(), 2 * self._settings.connect_timeout_s, "connect")
        return self._ask("configure", self._configuration, 0.0)

    def _ask(self, op: str, arguments: Mapping[str, Any], time_limit_s: float) -> Mapping[str, Any]:
        if self._channel is None:
            raise DeviceUnreachableError(f"{self._settings.host}: not connected")
        answer = self._wait(self._channel.ask(op, arguments), time_limit_s + self._settings.answer_timeout_s, op)
        if "error" in answer:
            raise as_error(answer["error"], f"{self._settings.host}: {answer['message']}")
        result: Mapping[str, Any] = answer["ok"]
        return result

    def call(self, op: str, arguments: Mapping[str, Any], time_limit_s: float) -> Mapping[str, Any]:
        """The agent's answer; a lost agent or connection is found again and asked anew, three times at most.

        Raises:
            ModelError, DeviceError: what the agent could not do.
            DeviceUnreachableError: it was lost and not found again within the profile's `reconnect_limit_s`.
        """
        for attempt in range(1, ATTEMPTS_PER_REQUEST):
            try:
                return self._ask(op, arguments, time_limit_s)
            except DeviceUnreachableError as error:
                log.warning("%s; reconnecting after attempt %d at %r", error, attempt, op)
                self._reconnect()
        return self._ask(op, arguments, time_limit_s)

    def _reconnect(self) -> None:
        lost: DeviceUnreachableError | None = None
        for delay_s in delays_s(self._settings.reconnect_limit_s):
            time.sleep(delay_s)
            try:
                configured = self._connect()
            except DeviceUnreachableError as error:
                lost = error
                continue
            before, now = (Fingerprint.from_facts(answer["facts"]) for answer in (self.configured, configured))
            if before.sha256() != now.sha256():
                raise DeviceError(f"{self._settings.host}: another device answers now: {now}, it was {before}")
            return
        limit_s = self._settings.reconnect_limit_s
        raise DeviceUnreachableError(f"{lost}; tried for {limit_s:g} s to reconnect. Resume once it is back") from lost

    def _hang_up(self) -> None:
        if self._channel is not None:
            channel, self._channel = self._channel, None
            self._wait(channel.close(), self._settings.connect_timeout_s, "close")

    def close(self) -> None:
        """Hang up, which ends the agent; closing twice does nothing."""
        if not self._loop.is_closed():
            self._hang_up()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
