"""What is worth a line of a run's progress."""

from hwnas.experiment import Progress
from hwnas.progress.log_file import FINISHING_EVERY_S, Generations, summary


def test_a_long_finish_has_a_line_every_ten_seconds() -> None:
    seconds, lines = 0.0, list[str]()
    listener = Generations(lambda progress: lines.append(summary(progress)), lambda: seconds)
    listener(Progress(phase="training", generation=3, done=1, total=1))
    for done in range(9):
        listener(Progress(phase="finishing", generation=3, done=done, total=8))
        seconds += 0.4 * FINISHING_EVERY_S
    listener(Progress(phase="done", generation=3))
    assert lines[0].startswith("generation 3, ")
    assert lines[1:] == [f"finishing the front: {done} of 8 measured finely and tested" for done in (3, 6)]


def test_a_short_finish_has_none() -> None:
    lines = list[str]()
    listener = Generations(lambda progress: lines.append(summary(progress)), lambda: 7.0)
    for done in range(3):
        listener(Progress(phase="finishing", generation=0, done=done, total=2))
    assert lines == []
