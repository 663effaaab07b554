"""Several runs on one page."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from hwnas.api.checking import PATH, checked
from hwnas.api.files import COMPARISON, Output
from hwnas.api.run import open_run
from hwnas.errors import RequestError
from hwnas.store import RunStore


@checked(folders=Sequence, out=PATH, replace=bool)
def compare(
    folders: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str] = "compare.html", *, replace: bool = False
) -> Path:
    """Write one self-contained HTML page with the fronts of several runs over each other; gives the page's path.

    Raises RequestError for fewer than two runs, runs of other data or another metric, a run given twice, and where a file that
    is no such page lies there, unless ``replace``.

    Example: ``hwnas.compare(["runs/a", "runs/b"], "compare.html")``
    """
    from hwnas.report.comparison import Compared, comparison

    runs = [open_run(folder) for folder in folders]
    places = [run.folder.resolve() for run in runs]
    if twice := [str(place) for place in dict.fromkeys(places) if places.count(place) > 1]:
        raise RequestError(f"a run is compared with others, got {', '.join(twice)} twice; name each run once")
    names = [place.name for place in places]
    labels = names if len(set(names)) == len(names) else [str(run.folder) for run in runs]
    output = Output(path=Path(out), kind=COMPARISON, replace=replace)
    output.refuse_foreign()
    with ExitStack() as opened:
        stores = [opened.enter_context(RunStore.open(run.folder, write=False)) for run in runs]
        page = comparison(
            [
                Compared(label=label, store=store, objectives=run.objectives)
                for label, store, run in zip(labels, stores, runs, strict=True)
            ]
        )
    output.write_text(page)
    return output.path
