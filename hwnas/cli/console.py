"""What the command line shows: progress and messages on stderr, results on stdout."""

import json
import logging
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from hwnas.progress.lines import told_in_lines
from hwnas.progress.log_file import clock, summary

if TYPE_CHECKING:
    from hwnas.experiment import Progress as RunProgress
    from hwnas.objective import Objective
    from hwnas.report import Entry, Format

# Made at each use: tests and callers replace sys.stdout and sys.stderr.
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
PHASES = {"final": "training to the end", "finishing": "measuring the front"}
_WIDTH, _WIDEST = 160, 10_000  # of a table where there is no terminal, so that no column is cut in a file; of any


def printable(text: str) -> str:
    """Text whose control characters, which may command a terminal, are written out; lines and tabs stay."""
    return "".join(char if char in "\n\t" or not _is_control(char) else repr(char)[1:-1] for char in text)


def _is_control(char: str) -> bool:
    """Whether it is a control character, or one of those that turn the direction of text around."""
    return unicodedata.category(char) == "Cc" or char in _TURNS


def out() -> Console:
    """The console for results."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def err() -> Console:
    """The console for everything that is no result; lines are not wrapped where there is no terminal."""
    return Console(stderr=True, highlight=False)


def note(message: str) -> None:
    """Say something to the user."""
    _note_on(err(), message)


def _note_on(console: Console, message: str) -> None:
    console.print(Text(printable(message)), soft_wrap=True)


def complain(message: str) -> None:
    """Say what went wrong."""
    err().print(Text.assemble(("error: ", "bold red"), printable(message)), soft_wrap=True)


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class LiveProgress:
    """A run's progress in a few lines of a terminal that are drawn again; ``say`` writes above them what stays."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._bars = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
        self._children: TaskID = self._bars.add_task("preparing", total=None, text="")
        self._time: TaskID = self._bars.add_task("time", total=None, text="", visible=False)
        self._line = Text("", style="dim", no_wrap=True, overflow="ellipsis")
        self._said = ""

    def __rich__(self) -> Group:
        """Both bars and the line below them."""
        return Group(self._bars, self._line)

    def __call__(self, progress: "RunProgress") -> None:
        """Take a run's progress in; what is said while it is prepared stays above the lines that are drawn again."""
        if progress.phase == "preparing" and progress.message != self._said:
            self._said = progress.message
            self._say(progress.message)
        in_generation = progress.phase in ("measuring", "training")
        what = (
            f"generation {progress.generation}: {progress.phase}" if in_generation else PHASES.get(progress.phase, progress.phase)
        )
        self._bars.update(
            self._children,
            description=what,
            total=progress.total or None,
            completed=progress.done,
            text=f"{progress.done}/{progress.total}" if progress.total else "",
        )
        if progress.left_s is not None:
            total = progress.elapsed_s + progress.left_s
            self._bars.update(
                self._time, total=total, completed=progress.elapsed_s, text=f"{clock(progress.left_s)} left", visible=True
            )
        self._line.plain = printable(summary(progress))


@contextmanager
def progress_shown(*, quiet: bool, verbose: bool) -> "Iterator[Callable[[RunProgress], None] | None]":
    """A listener that shows a run: live in a terminal, elsewhere in lines, nothing where quiet.

    ``verbose`` prints the lines of the run's log, whatever the terminal.
    """
    console = err()
    if verbose:
        handler = logging.StreamHandler(console.file)
        handler.setFormatter(_Printable("%(asctime)s %(levelname)s %(message)s"))
        logging.getLogger("hwnas").addHandler(handler)
        try:
            yield None
        finally:
            logging.getLogger("hwnas").removeHandler(handler)
    elif quiet:
        yield None
    elif console.is_terminal and not console.is_dumb_terminal:
        live = LiveProgress(lambda text: _note_on(console, text))  # the one that draws: another would write into its lines
        with Live(live, console=console, refresh_per_second=4, transient=True):
            yield live
    else:
        with told_in_lines(note) as lines:
            yield lines


def show_entries(
    entries: "Sequence[Entry]",
    form: "Format",
    objectives: "Sequence[Objective]" = (),
    *,
    names: Mapping[str, str] = MappingProxyType({}),
    all_columns: bool = False,
) -> None:
    """The front, or whatever entries, on stdout; a table has a column of each of the run's ``objectives``.

    ``names``: what some entries are called, by their ids; ``all_columns``: those, too, that only an expert reads.
    """
    from hwnas.report import as_csv, as_json, as_table, brief_columns

    if form == "table":
        columns = None if all_columns else brief_columns(entries, objectives, names)
        _print_table(as_table(entries, objectives, printable, columns), whole_rows=True)
    else:
        emit(as_csv(entries).rstrip("\n") if form == "csv" else as_json(entries))


def show_front(
    front: "Sequence[Entry]", objectives: "Sequence[Objective]", folder: str, *, all_columns: bool = False, quiet: bool = False
) -> None:
    """A front that fits a screen: a dozen networks that stand for it on stdout, and on stderr how many more there are and which
    three to look at first, unless ``quiet``; ``folder`` as a shell takes it."""
    from hwnas.report import names_of, suggestions, thinned_front
    from hwnas.report.table import hidden_objectives, in_words

    found, shown = suggestions(front, objectives), thinned_front(front, objectives)
    show_entries(shown, "table", objectives, names=names_of(found), all_columns=all_columns)
    if quiet:
        return
    if left := len(front) - len(shown):
        note(f"{left} more: hwnas front {folder} --all-front")
    if hidden := hidden_objectives(shown, objectives):
        note(f"Not shown, though the front goes by it: {', '.join(hidden)} (--all-columns)")
    note("\nSuggestions:")
    for each in found:
        note(f"  {each.name:8}  {in_words(each.entry, objectives)}\n            {each.why}")


def show_lines(lines: Sequence[str]) -> None:
    """Lines beside a table, after an empty one; nothing where there are none."""
    for number, line in enumerate(lines):
        note(line if number else f"\n{line}")


def emit(text: str) -> None:
    """Text on stdout as it is, never wrapped or coloured."""
    out().out(printable(text), highlight=False)


def emit_json(value: object) -> None:
    """A value as JSON on stdout."""
    emit(json.dumps(value, indent=2, allow_nan=False))


def show_facts(facts: Mapping[str, str]) -> None:
    """Names and values on stdout."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        table.add_row(Text(printable(name), "bold"), Text(printable(value)))
    out().print(table)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows of text on stdout; in a narrow terminal cells take several lines."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    _print_table(table)


def _print_table(table: Table, *, whole_rows: bool = False) -> None:
    """A table no narrower than its words, or its rows, are: a terminal that is may wrap it; no column breaks a number."""
    console = out()
    needed = Measurement.get(console, console.options.update(width=_WIDEST), table)
    width = max(console.width, needed.maximum if whole_rows else needed.minimum)
    console.size = ConsoleDimensions(width, console.height)
    console.print(table)
