"""Networks as a pandas DataFrame."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwnas.errors import RequestError
from hwnas.report import Entry

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(found: Sequence[Entry]) -> "DataFrame":
    """A row for each network by its id, in their order; columns as of ``Entry.to_json``, none of no network.

    Raises RequestError where pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise RequestError(f"a frame needs pandas, which is not there ({error}): pip install 'hwnas[pandas]'") from error
    if not found:
        return pandas.DataFrame(index=pandas.Index([], name="id"))
    return pandas.DataFrame([entry.to_json() for entry in found]).set_index("id")
