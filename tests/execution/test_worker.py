"""Limits of a worker process."""

import contextlib
import signal
import time

import pytest

from hwnas.execution.worker import TimeUp, time_limit


def work_that_suppresses_its_errors() -> None:
    with contextlib.suppress(Exception):
        time.sleep(10)
    pytest.fail("what suppresses the work's errors suppressed the time limit")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no alarms")
def test_the_end_of_the_time_is_taken_for_no_error_of_the_work() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeUp), time_limit(0.05):
        work_that_suppresses_its_errors()
    assert signal.getsignal(signal.SIGALRM) is before
    with time_limit(0.05):
        pass
    time.sleep(0.1)  # no alarm comes after the work
