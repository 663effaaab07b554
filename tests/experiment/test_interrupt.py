"""Ctrl-C while a search works: noted once, raised where stopping is clean, never lost and never taken where it is ignored."""

import os
import signal
from collections.abc import Iterator

import pytest

from hwnas.experiment.interrupt import Interrupt


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_waits_for_a_clean_point_and_the_second_does_not() -> None:
    interrupt = Interrupt()
    interrupt.__enter__()
    interrupt.check()
    press()
    with pytest.raises(KeyboardInterrupt):
        interrupt.check()
    with pytest.raises(KeyboardInterrupt):
        press()
    interrupt.__exit__(KeyboardInterrupt, None, None)


def test_one_that_no_clean_point_came_after_is_not_lost() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interrupt():
        press()
    assert signal.getsignal(signal.SIGINT) is before


def test_what_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupt() as interrupt:
        press()
        interrupt.check()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
