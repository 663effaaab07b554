"""Workers load the malloc that they are told, or the fastest that is installed; nothing else does."""

import ctypes.util
import logging
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from hwnas.errors import ConfigError
from hwnas.execution import LocalExecutor
from hwnas.execution.worker_malloc import WorkerContext
from tests.execution.conftest import DATA, local_workers, tiny_task, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's")


@pytest.fixture(autouse=True)
def no_preload(monkeypatch):
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.delenv("HWNAS_WORKER_PRELOAD", raising=False)


def a_library():
    return next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libm" in line)


def preload_of_a_process():
    """What a process of a worker's context was started with."""
    process = WorkerContext().Process(target=time.sleep, args=(60,))
    process.start()
    started = psutil.Process(process.pid)
    try:
        until(lambda: any("spawn_main" in word for word in started.cmdline()))  # before that it still is a copy of this one
        return started.environ().get("LD_PRELOAD")
    finally:
        process.kill()
        process.join()


def test_workers_load_the_users_library_and_this_process_does_not(monkeypatch):
    monkeypatch.setenv("HWNAS_WORKER_PRELOAD", a_library())
    with LocalExecutor(1, DATA) as executor:
        before = local_workers()
        executor.submit(tiny_task(0))
        assert executor.wait(60)[0].failure is None
        (worker,) = set(local_workers()) - set(before)
        assert worker.environ()["LD_PRELOAD"] == a_library()
    assert "LD_PRELOAD" not in os.environ


def test_a_library_that_does_not_exist_is_a_wrong_request(monkeypatch):
    monkeypatch.setenv("HWNAS_WORKER_PRELOAD", "/nowhere/libmalloc.so")
    with LocalExecutor(1, DATA) as executor, pytest.raises(ConfigError, match=r"does not exist: /nowhere/libmalloc\.so"):
        executor.warm_up()
    monkeypatch.setenv("HWNAS_WORKER_PRELOAD", "libnowhere.so.4")  # the loader would say so on stderr, and go on without
    with pytest.raises(ConfigError, match=r"does not exist: libnowhere\.so\.4"):
        WorkerContext()


def test_tcmalloc_is_taken_where_it_is_installed_and_the_log_says_so(caplog):
    installed = ctypes.util.find_library("tcmalloc_minimal") or ctypes.util.find_library("tcmalloc")
    if installed is None:
        pytest.skip("tcmalloc is not installed here")
    with caplog.at_level(logging.INFO, logger="hwnas"):
        assert preload_of_a_process() == installed
    assert [record.getMessage() for record in caplog.records] == ([f"the workers load {installed}"])


def test_an_empty_variable_or_a_malloc_of_the_users_own_turns_that_off(monkeypatch):
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: a_library())
    monkeypatch.setenv("LD_PRELOAD", "libother_malloc_that_is_not_there.so")
    monkeypatch.setenv("HWNAS_WORKER_PRELOAD", "")
    assert preload_of_a_process() == "libother_malloc_that_is_not_there.so"
    monkeypatch.delenv("HWNAS_WORKER_PRELOAD")
    assert preload_of_a_process() == "libother_malloc_that_is_not_there.so"
    monkeypatch.delenv("LD_PRELOAD")
    assert preload_of_a_process() == a_library()
