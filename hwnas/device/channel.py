"""One agent at the other end of one SSH connection.

The agent's source goes to a bare interpreter over stdin, so nothing is written to the device. The only thing a shell there
sees is the quoted interpreter and a constant program. Hosts, users, keys and jump hosts come from the user's own
ssh configuration and agent; a host key that known_hosts does not hold is refused.
"""

import asyncio
import errno
import json
import os
import re
import shlex
import socket
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import asyncssh
import psutil

from hwnas.device.agent import encode
from hwnas.device.answers import LONGEST_LINE, parsed
from hwnas.device.profile import Ssh
from hwnas.errors import DeviceError, DeviceUnreachableError, WrongAnswerError

KEEPALIVE_S = 5.0
READ_BYTES = 1 << 16
STDERR_LINES = 20
# Everything but words of any alphabet and these signs: %h and %r in a ProxyCommand or Match exec go through a shell.
_UNSAFE = re.compile(r"[^\w.\-:@%+\\]")
ANSWER_STARTS = (b'{"ok":', b'{"error":')


def agent_command(python: str, source_bytes: int) -> str:
    """The remote command: an interpreter that reads the agent's source from stdin and runs it, quoted for a POSIX shell.

    First it ends the line, lest the first answer stand in that of a login shell's greeting.
    """
    program = f"import sys;print(flush=True);exec(compile(sys.stdin.buffer.read({source_bytes}),'agent.py','exec'))"
    return f"{shlex.quote(python)} -c {shlex.quote(program)}"


def accepting_command(settings: Ssh) -> str:
    """What a user types to see the host's key and to accept it where this profile looks for it."""
    user_and_host = f"{settings.user}@{settings.host}" if settings.user else settings.host
    words = ["ssh", *(["-p", str(settings.port)] if settings.port else [])]
    words += ["-F", settings.config_file] if settings.config_file else []
    words += ["-o", f"UserKnownHostsFile={settings.known_hosts}"] if settings.known_hosts else []
    return shlex.join([*words, user_and_host])


def own_config(config_file: str) -> str:
    """The path of a profile's ssh configuration, which may run commands (ProxyCommand), so that only the user's own count.

    Those lie in ~/.ssh, where whoever sends a profile, or a run that holds one, cannot put any. Raises DeviceError for others.
    """
    folder, path = os.path.expanduser("~/.ssh"), os.path.abspath(os.path.expanduser(config_file))
    if not Path(path).is_relative_to(folder):
        raise DeviceError(
            f"the profile's connection.config_file is {config_file!r}: an ssh configuration can run commands here, so that only "
            f"files in {folder} are read; if you trust this one, put it there and name it so"
        )
    return path


def refuse_unsafe_names(settings: Ssh) -> None:
    """Raise DeviceError for a host or user that a command in the user's own ssh configuration would not get as one plain word."""
    for field, name in (("host", settings.host), ("user", settings.user or "")):
        if name.startswith("-") or _UNSAFE.search(name):
            raise DeviceError(
                f"the profile's connection.{field} is {name!r}; expected a name of letters, digits and . _ - : @ % + and \\"
            )


def is_this_machine(host: str) -> bool:
    """Whether a name or address leads to a network interface of this machine."""
    own = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
    try:
        return any(address[0] in own for *_, address in socket.getaddrinfo(host, None))
    except OSError:  # an alias of the user's ssh configuration
        return False


class Channel:
    """One agent at the other end of one connection; lives in one event loop, and dies at the first trouble."""

    def __init__(self, settings: Ssh) -> None:
        self._settings = settings
        self._stderr: deque[bytes] = deque(maxlen=STDERR_LINES)
        self._buffer = bytearray()
        self._is_between_requests = False

    async def open(self) -> None:
        """Connect and start the agent."""
        source = resources.files("hwnas.device").joinpath("agent.py").read_bytes()
        self._connection = await self._connect()
        command = agent_command(self._settings.python, len(source))
        try:
            self._process = await self._connection.create_process(command, encoding=None)
            self._reader = asyncio.create_task(self._keep_stderr())
            self._process.stdin.write(source)
        except (OSError, asyncssh.Error) as error:
            raise DeviceUnreachableError(f"{self._settings.host}: no command can be run there: {error}") from error
        self._is_between_requests = True

    async def _connect(self) -> asyncssh.SSHClientConnection:
        given, where = self._settings, self._settings.host
        options: dict[str, Any] = {"port": given.port, "username": given.user, "known_hosts": given.known_hosts}
        options["client_keys"] = [given.identity_file] if given.identity_file else None
        options["config"] = [own_config(given.config_file)] if given.config_file else None
        refuse_unsafe_names(given)
        try:
            async with asyncio.timeout(given.connect_timeout_s):
                return await asyncssh.connect(
                    where, keepalive_interval=KEEPALIVE_S, **{key: value for key, value in options.items() if value}
                )
        except asyncssh.HostKeyNotVerifiable as error:
            advice = f"check the key's fingerprint, then accept it once with `{accepting_command(given)}`"
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
            advice = "check its name, port and network"
            if f"[Errno {errno.ECONNREFUSED}]" in str(error) and is_this_machine(where):
                start = "sudo apt-get install openssh-server"
                advice = f"that is this machine, and no SSH server listens here; start one (Debian: {start})"
            raise DeviceUnreachableError(f"{where}: cannot be reached: {error}; {advice}") from error

    async def _keep_stderr(self) -> None:
        with suppress(asyncssh.Error, OSError):
            async for line in self._process.stderr:
                self._stderr.append(line)

    async def ask(self, op: str, arguments: Mapping[str, Any]) -> object:
        """Send one request and wait for its answer, JSON of whatever content."""
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
        return parsed(line, self._settings.host)

    async def _answer_line(self) -> bytes | None:
        """The next line that is an answer, not a greeting of the login shell; None at the end of the output."""
        while True:
            while (end := self._buffer.find(b"\n")) < 0:
                chunk = await self._process.stdout.read(READ_BYTES)
                if not chunk:
                    return None
                self._buffer += chunk
                if len(self._buffer) > LONGEST_LINE:
                    raise WrongAnswerError(
                        f"{self._settings.host}: sent a line of more than {LONGEST_LINE >> 20} MB, which no answer is"
                    )
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if line.startswith(ANSWER_STARTS):
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
