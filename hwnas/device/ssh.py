"""The way to an agent on another machine: one connection and one agent for a whole search, found again when lost.

The connection lives in an event loop of its own, in a thread; every wait has a limit.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from hwnas.device.answers import Failed, checked
from hwnas.device.channel import Channel
from hwnas.device.fingerprint import Fingerprint
from hwnas.device.link import as_error
from hwnas.device.profile import Ssh
from hwnas.errors import DeviceError, DeviceUnreachableError, ModelError, WrongAnswerError

log = logging.getLogger(__name__)

ATTEMPTS_PER_REQUEST = 3
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 8.0

T = TypeVar("T")


def delays_s(limit_s: float) -> Iterator[float]:
    """Pauses before each attempt to reconnect: at once, then doubling from 0.25 s to 8 s; the last ends when `limit_s` do."""
    yield 0.0
    started, delay_s = time.monotonic(), FIRST_DELAY_S
    while (left_s := started + limit_s - time.monotonic()) > 0:
        yield min(delay_s, left_s)
        delay_s = min(2 * delay_s, LONGEST_DELAY_S)


class SshLink:
    """An agent on another machine, configured again after each reconnection."""

    def __init__(self, settings: Ssh, configuration: Mapping[str, Any]) -> None:
        self._settings = settings
        self._configuration = configuration
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"ssh {settings.host}", daemon=True)
        self._thread.start()
        self._channel: Channel | None = None
        self.configured: Mapping[str, Any] = {}
        try:
            self.configured = self._connect()
        finally:
            if not self.configured:
                self.close()

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
        self._channel = Channel(self._settings)
        self._wait(self._channel.open(), 2 * self._settings.connect_timeout_s, "connect")
        return self._ask("configure", self._configuration, 0.0)

    def _ask(self, op: str, arguments: Mapping[str, Any], time_limit_s: float) -> Mapping[str, Any]:
        if self._channel is None:
            raise DeviceUnreachableError(f"{self._settings.host}: not connected")
        answer = self._wait(self._channel.ask(op, arguments), time_limit_s + self._settings.answer_timeout_s, op)
        found = checked(op, answer, self._settings.host)
        if isinstance(found, Failed):
            raise as_error(found.error, f"{self._settings.host}: {found.message}")
        return found

    def call(self, op: str, arguments: Mapping[str, Any], time_limit_s: float) -> Mapping[str, Any]:
        """The agent's answer; a lost agent or connection is found again and asked again, three times at most.

        Raises:
            ModelError, DeviceError: what the agent could not do. It is the model's fault, too, if every attempt with it ended the
                agent and each time it was found again: a search continues without that model.
            DeviceUnreachableError: it was lost and not found again within the profile's `reconnect_limit_s`.
        """
        lost: DeviceUnreachableError | None = None
        for attempt in range(1, ATTEMPTS_PER_REQUEST + 1):
            try:
                return self._asked_again(op, arguments, time_limit_s)
            except DeviceUnreachableError as error:
                log.warning("%s; reconnecting after attempt %d at %r", error, attempt, op)
                lost = error
                self._reconnect()
        what = f"{lost}; so ended each of {ATTEMPTS_PER_REQUEST} attempts at {op!r}, and the device was found again each time"
        raise (ModelError(f"{what}: it cannot run the model") if "model" in arguments else DeviceError(what)) from lost

    def _asked_again(self, op: str, arguments: Mapping[str, Any], time_limit_s: float) -> Mapping[str, Any]:
        """The answer, of a new agent where the first one answered wrongly."""
        try:
            return self._ask(op, arguments, time_limit_s)
        except WrongAnswerError as error:
            log.warning("%s; asking a new agent once more", error)
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
