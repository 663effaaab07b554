"""A page that is kept current: written when the run has changed, with a reload only while somebody writes the run."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hwnas.api import Run, open_run
from hwnas.api.watching import is_at_work, watch
from hwnas.errors import ConfigError
from hwnas.store import RunStore
from tests.conftest import TINY, Made, hwnas
from tests.store.store_samples import finished, initial, weights_of

CONFIG = '{"objectives": ["error", "parameters"], "workers": 1}'
RELOAD = '<meta http-equiv="refresh"'


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[RunStore]:
    """A run that this process is writing."""
    with RunStore.create(tmp_path / "run", config=CONFIG, meta={}) as store:
        store.add_event("started", {})
        yield store


def test_the_page_is_written_when_the_run_has_changed_and_last_without_a_reload(at_work: RunStore) -> None:
    written: list[float | None] = []
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        match len(waited):
            case 2:
                at_work.add_candidates([initial(0)])
            case 4:
                data = weights_of(1)
                at_work.add_outcome(finished("g0-0", data), data)
            case 5:
                at_work.add_event("ended", {"reason": "all is done"})

    assert watch(open_run(at_work.folder), written.append, 2.5, sleep) == "all is done"
    assert waited == [2.5] * 5
    assert written == [3, 3, 3, None]  # nothing changed behind the first and third look


def test_a_run_that_nobody_writes_is_not_waited_for(at_work: RunStore) -> None:
    run, written = open_run(at_work.folder), list[float | None]()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid, host, works in (
        (gone.pid, socket.gethostname(), False),
        (os.getpid(), socket.gethostname(), True),
        (gone.pid, "another machine", True),
    ):
        at_work.set_meta("writer", {"pid": pid, "host": host})
        assert is_at_work(run.folder) == works
    at_work.set_meta("writer", {"pid": gone.pid, "host": socket.gethostname()})
    assert "interrupted" in watch(run, written.append, 1.0)
    assert written == [None]


def test_a_process_that_has_the_number_of_one_that_is_gone_is_not_the_writer(tmp_path: Path) -> None:
    before = time.time() - 10_000_000  # long before this process began
    with RunStore.create(tmp_path / "run", config=CONFIG, meta={}, clock=lambda: before) as store:
        store.add_event("started", {})
        assert not is_at_work(store.folder)


@pytest.mark.parametrize("every", ["0s", "-1", "soon", "500ms"])
def test_an_interval_that_cannot_be_is_refused(every: str, tiny_run: Made, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        open_run(tiny_run.folder).watch(tmp_path / "page.html", every=every)
    assert not (tmp_path / "page.html").exists()


def test_a_run_that_has_ended_is_written_once(tiny_run: Made, tmp_path: Path) -> None:
    done = hwnas("watch", tiny_run.folder, "--out", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "page.html")
    assert "The run is over: 1 generation is done." in done.stderr
    assert RELOAD not in (tmp_path / "page.html").read_text()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_watching_and_leaves_a_page_that_stays(at_work: RunStore, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    command = [sys.executable, "-c", "from hwnas.cli import main; main()", "watch", str(at_work.folder), "--out", str(page)]
    with subprocess.Popen([*command, "--every", "2s"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for(lambda: page.exists())
        assert f'{RELOAD} content="2">' in page.read_text()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "No longer watched" in said
    assert "Traceback" not in said
    assert RELOAD not in page.read_text()


@pytest.mark.slow
def test_a_real_search_is_watched_to_its_end(tmp_path: Path) -> None:
    run, page, seen = tmp_path / "run", tmp_path / "page.html", set[int]()
    main = [sys.executable, "-c", "from hwnas.cli import main; main()"]
    (tmp_path / "tiny.toml").write_text(TINY)
    settings = ("--config", str(tmp_path / "tiny.toml"), "--generations", "3", "--quiet", "--out", str(run))
    with subprocess.Popen([*main, "search", *settings], stdout=subprocess.DEVNULL) as search:
        wait_for(lambda: (run / "run.sqlite").exists() and finished_of(run) > 0)
        with subprocess.Popen([*main, "watch", str(run), "--every", "1s", "--out", str(page)]) as watching:
            while watching.poll() is None:
                if page.exists() and RELOAD in (text := page.read_text()):
                    seen.add(count_of(text))
                time.sleep(0.3)
        assert search.wait(timeout=60) == 0
    assert watching.returncode == 0
    assert len(seen) > 1
    assert RELOAD not in page.read_text()
    assert count_of(page.read_text()) == len(Run(run).rows())


def count_of(page: str) -> int:
    data = page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    return len(json.loads(data)["networks"]["id"])


def finished_of(run: Path) -> int:
    with RunStore.open(run, write=False) as store:
        return sum(row.outcome is not None for row in store.rows())


def wait_for(condition: Callable[[], bool], limit_s: float = 120.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
