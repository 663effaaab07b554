"""Networks as a small HTML table, as a notebook shows it; every text in it is escaped, for it may come from a foreign run."""

from collections.abc import Sequence
from html import escape

from hwnas.objective import Objective
from hwnas.report.entry import Entry
from hwnas.report.suggestions import names_of, suggestions, thinned_front
from hwnas.report.table import brief_columns


def front_as_html(front: Sequence[Entry], objectives: Sequence[Objective]) -> str:
    """A front: a dozen networks that stand for it, with the names of those that are suggested, and how many more there are."""
    shown = thinned_front(front, objectives)
    columns = brief_columns(shown, objectives, names_of(suggestions(front, objectives)))
    left = len(front) - len(shown)
    head = "".join(f"<th>{escape(column.title)}</th>" for column in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td{_side(column.number)}>{escape(column.text(entry))}</td>" for column in columns) + "</tr>"
        for entry in shown
    )
    more = f"<p>{left} more</p>" if left else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _side(number: bool) -> str:
    return f' style="text-align: {"right" if number else "left"}"'
