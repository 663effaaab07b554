"""Tables, figures and the page of a run; reads the store only.

`hwnas.report.page` is imported by its own name: it loads plotly, which a table of the front does not need.
"""

from hwnas.report.entry import Entry, entries, why_of_no_use
from hwnas.report.interval import with_interval
from hwnas.report.predictor import predictor_error
from hwnas.report.status import why_ended
from hwnas.report.table import Format, as_csv, as_json, as_table

__all__ = [
    "Entry",
    "Format",
    "as_csv",
    "as_json",
    "as_table",
    "entries",
    "predictor_error",
    "why_ended",
    "why_of_no_use",
    "with_interval",
]
