"""Tables, figures and the page of a run; reads the store only.

`hwnas.report.page` is imported by its own name: it loads plotly, which a table of the front does not need.
"""

from hwnas.objectives.share import interval_95, percent, with_range
from hwnas.report.entry import Entry, entries, too_short_for, why_empty, why_of_no_use
from hwnas.report.interval import with_interval
from hwnas.report.original import against_original, beside_original
from hwnas.report.predictor import predictor_error
from hwnas.report.status import lost, more_time, why_ended
from hwnas.report.suggestions import Suggestion, knee_of, names_of, suggestions, thinned_front
from hwnas.report.table import Format, as_csv, as_json, as_table, brief_columns

__all__ = [
    "Entry",
    "Format",
    "Suggestion",
    "against_original",
    "as_csv",
    "as_json",
    "as_table",
    "beside_original",
    "brief_columns",
    "entries",
    "interval_95",
    "knee_of",
    "lost",
    "more_time",
    "names_of",
    "percent",
    "predictor_error",
    "suggestions",
    "thinned_front",
    "too_short_for",
    "why_empty",
    "why_ended",
    "why_of_no_use",
    "with_interval",
    "with_range",
]
