"""``hwnas ensemble``."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli import console
from hwnas.cli.options import Replace, RunFolder, Verbose, quoted


def ensemble(
    folder: RunFolder,
    size: Annotated[int, typer.Option(help="How many networks at most.")] = 3,
    max_latency_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="The sum of their latencies, as the run measured them, at most.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="F.onnx", help="Write them as one ONNX file, checked and measured.")] = None,
    among: Annotated[int, typer.Option(help="Networks beside the front that are tried, the most accurate ones.")] = 24,
    replace: Replace = False,
    verbose: Verbose = False,
) -> None:
    """Choose networks of a run that answer best together, by the mean of their probabilities.

    Chosen by the likelihood that they give the validation images; shown above the best single network within the same latency.
    NLL: mean negative log-likelihood, in nats. Calibration: by how much confidence and accuracy differ.
    """
    from hwnas import api

    found = api.ensemble(folder, size=size, max_latency_ms=max_latency_ms, out=out, among=among, replace=replace)
    console.show_table(*api.ensemble_table(found))
    if len(found.members) == 1:
        console.note("\nNo second network lowers the NLL within the limit, so there is no ensemble: export the single one.")
    elif found.file is not None:
        console.note(
            f"\nOne file, checked against its networks: {found.file}. How it bears bit flips:\n"
            f"  hwnas faults --onnx {quoted(found.file)} --data PATH"
        )
    else:
        console.note(f"\nAs one ONNX file: hwnas ensemble {quoted(folder)} --size {size} --out ensemble.onnx")
