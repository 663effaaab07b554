"""A run's main plots as pictures, for a paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.api.files import PICTURE, Output
from hwnas.errors import RequestError, WorkError
from hwnas.report import entries, why_empty

if TYPE_CHECKING:
    from hwnas.objective import Objective
    from hwnas.store import RunStore


def write_pictures(store: "RunStore", objectives: "Sequence[Objective]", folder: Path, *, replace: bool) -> list[Path]:
    """Write them as PNG and SVG, all or none; gives the paths. Raises RequestError without matplotlib, and where a file that is
    no such picture lies there, unless ``replace``; WorkError where there is nothing to draw yet."""
    try:
        from hwnas.report.static import pictures
    except ModuleNotFoundError as error:
        raise RequestError(f"pictures need matplotlib, which is not there ({error}): pip install 'hwnas[plots]'") from error
    made = list(pictures(store, objectives))
    if not made:
        raise WorkError(f"there is nothing to draw yet in {store.folder}: {why_empty(entries(store.rows(), objectives))}")
    outputs = [Output(path=folder / name, kind=PICTURE, replace=replace) for name, _ in made]
    for output in outputs:
        output.refuse_foreign()
    for output, (_, content) in zip(outputs, made, strict=True):
        output.write_bytes(content)
    return [output.path for output in outputs]
