"""Progress where there is no terminal: a line at least every 15 seconds."""

import pytest

from hwnas.progress import Progress
from hwnas.progress import lines as lines_module
from hwnas.progress.lines import EVERY_S, Lines, told_in_lines


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_nobody_waits_longer_than_fifteen_seconds_for_a_line(watch: Watch) -> None:
    said: list[tuple[float, str]] = []
    lines = Lines(lambda text: said.append((watch.seconds, text)), watch)
    for second in range(200):
        watch.seconds = float(second)
        if second == 100:  # nothing was said for the first hundred seconds
            lines(Progress(phase="training", generation=0, trained=1, total=8))
        if second == 140:
            lines(Progress(phase="final", generation=0, done=1, total=2, message="g0-1: 30 %"))
        lines.tick()
    times = [at for at, _ in said]
    assert max(after - before for before, after in zip([0.0, *times], [*times, 199.0], strict=True)) <= EVERY_S
    assert said[0] == (15.0, "preparing: reading data, starting workers, measuring this machine's speed; 0:15 so far")
    assert any(text.startswith("generation 0, 1 trained") for _, text in said)
    assert said[-1][1] == "training to the end: 1 of 2 done; g0-1: 30 %"


def test_what_is_said_of_the_data_comes_at_once_and_each_generation_has_its_line(watch: Watch) -> None:
    said = list[str]()
    lines = Lines(said.append, watch)
    for progress in (
        Progress(phase="preparing", generation=0, message="Data: digits"),
        Progress(phase="preparing", generation=0, message="Data: digits"),
        Progress(phase="preparing", generation=0, message="Each network .."),
        Progress(phase="measuring", generation=0, message="Each network .."),
        Progress(phase="training", generation=0, trained=8, front_size=3),
        Progress(phase="measuring", generation=1, trained=8, front_size=3),
        Progress(phase="finishing", generation=1),
    ):
        lines(progress)
    assert said == [
        "Data: digits",
        "Each network ..",
        "generation 0, 8 trained, front 3, 0:00 used",
        "generation 1, 8 trained, front 3, 0:00 used",
    ]


def test_the_end_of_a_generation_is_not_said_twice(watch: Watch) -> None:
    said = list[str]()
    lines = Lines(said.append, watch)
    watch.seconds = EVERY_S
    for phase in ("training", "training", "finishing"):
        lines(Progress(phase=phase, generation=0, trained=8))
    assert said == ["generation 0, 8 trained, 0:00 used"]


def test_a_thread_looks_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "EVERY_S", 0.0)
    monkeypatch.setattr(lines_module, "TICK_S", 0.01)
    said = list[str]()
    with told_in_lines(said.append):
        for _ in range(500):
            if said:
                break
            lines_module.time.sleep(0.01)
    assert said[0].startswith("preparing")
    count = len(said)
    lines_module.time.sleep(0.05)
    assert len(said) == count  # it ended with the run
