"""What a run and its front look like where Python shows them: in a line, and in a notebook as a table."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from hwnas.errors import HwnasError
from hwnas.objective import Objective
from hwnas.report import Entry
from hwnas.report.html_table import front_as_html

if TYPE_CHECKING:
    from hwnas.api.run import Run


class Front(list[Entry]):
    """A front: a list of networks, best error first, which a notebook shows as a table."""

    def __init__(self, entries: Iterable[Entry], objectives: Sequence[Objective]) -> None:
        super().__init__(entries)
        self._objectives = tuple(objectives)

    def _repr_html_(self) -> str:
        return front_as_html(self, self._objectives) if self else "<p>no network yet</p>"


def in_a_line(run: "Run") -> str:
    """What a run is, in a line; why it cannot be read, where it cannot: showing a value must not fail."""
    try:
        return f"<hwnas run in {run.folder}: {len(run.front())} networks on the front, {run.ended() or 'not ended'}>"
    except HwnasError as error:
        return f"<hwnas run in {run.folder}, which cannot be read now: {error}>"


def as_html(run: "Run") -> str:
    """A run in a notebook: that line, and its front."""
    try:
        front = run.front()
    except HwnasError:
        return f"<p>{escape(in_a_line(run).strip('<>'))}</p>"
    table = front_as_html(front, run.objectives) if front else ""
    return f"<p>{escape(in_a_line(run).strip('<>'))}</p>{table}"
