"""What may help a run that did not come far."""

import os
from pathlib import Path

from hwnas.report import more_time
from hwnas.store import RunStore


def suggested_time(folder: str | os.PathLike[str]) -> str:
    """A time budget of the whole run, for ``hwnas resume``, with which a search that ended too soon may come further."""
    with RunStore.open(Path(folder), write=False) as store:
        return more_time(store)
