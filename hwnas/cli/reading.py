"""What only reads runs: ``hwnas front``, ``pick``, ``report``, ``watch`` and ``compare``."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli import console
from hwnas.cli.interrupting import ending_at_the_second
from hwnas.cli.options import (
    INTERRUPTED,
    MaxLatency,
    MaxMacs,
    MaxMemory,
    MaxParameters,
    Replace,
    RunFolder,
    Verbose,
    numbers,
    quoted,
)
from hwnas.errors import RequestError

PageOption = Annotated[Path | None, typer.Option(metavar="F.html", help="By default report.html in the run's folder.")]


class Form(enum.StrEnum):
    """How entries are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def front(
    folder: RunFolder,
    all_front: Annotated[
        bool, typer.Option("--all-front", help="Every network of the front, not a dozen that stand for it.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also what is not on the front, failed or over a limit.")] = False,
    all_columns: Annotated[
        bool, typer.Option("--all-columns", help="Also test errors, sensitivity, what was changed (operator) and the parent.")
    ] = False,
    form: Annotated[Form, typer.Option("--format", help="How to print it; csv and json hold the whole front.")] = Form.table,
    verbose: Verbose = False,
) -> None:
    """Print the Pareto front of a run, also while it is being written: the networks that no other one beats in everything."""
    from hwnas import api

    run = api.open_run(folder)
    rows = run.rows()
    found = rows if everything else [entry for entry in rows if entry.on_front]
    if not found and form is Form.table:
        console.note(run.why_empty() or "")
    elif everything or all_front or form is not Form.table:
        names = api.names_of(api.suggestions([entry for entry in rows if entry.on_front], run.objectives))
        console.show_entries(found, form.value, run.objectives, names=names, all_columns=all_columns)
    else:
        console.show_front(found, run.objectives, quoted(folder), all_columns=all_columns)
    if form is Form.table:
        console.show_lines(api.beside_original(rows))
    for warning in filter(None, (api.why_of_no_use(rows, run.objectives), run.lost())):
        console.note(warning)


def pick(
    folder: RunFolder,
    max_error: Annotated[float | None, typer.Option(help="Limit on the validation error, such as 0.05.")] = None,
    max_latency_ms: MaxLatency = None,
    max_parameters: MaxParameters = None,
    max_macs: MaxMacs = None,
    max_memory_kb: MaxMemory = None,
    prefer: Annotated[str | None, typer.Option(metavar="NAME[=WEIGHT],..", help="What matters; by default all alike.")] = None,
    knee: Annotated[bool, typer.Option("--knee", help="The knee of what is left: beyond it a gain in one costs much.")] = False,
    bands: Annotated[
        int | None, typer.Option(metavar="N", help="Instead: the most accurate network of each of N bands of latency.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="With --bands: of this objective instead of latency.")] = None,
    verbose: Verbose = False,
) -> None:
    """Print one network of the front, the runner-up, why it is the one, and what a better one would cost."""
    from hwnas import api

    limits = {
        "error": max_error,
        "latency_ms": max_latency_ms,
        "parameters": max_parameters,
        "macs": max_macs,
        "memory_kb": max_memory_kb,
    }
    weights = numbers([each if "=" in each else f"{each}=1" for each in prefer.split(",")] if prefer else [], "--prefer", float)
    run, stated = api.open_run(folder), {name: value for name, value in limits.items() if value is not None}
    if bands is not None or by is not None:
        if weights or knee or bands is None:
            raise RequestError("--bands asks for several networks, --prefer and --knee for one, and --by is for bands: choose")
        found = run.bands(bands, by=by, limits=stated)
        console.show_entries([band.entry for band in found], "table", run.objectives, names={b.entry.id: b.title for b in found})
        if len(found) < bands:
            console.note(f"{bands - len(found)} of {bands} bands have no network that is more accurate than a cheaper one.")
        return
    picked = run.pick(stated, weights, knee=knee)
    console.show_entries(picked.shown, "table", run.objectives, names=picked.names)
    console.emit(picked.reason)
    console.emit(picked.next_better)
    if sentence := api.against_original(picked.shown[0], run.rows()):
        console.emit(sentence)
    if warning := run.why_of_no_use():
        console.note(warning)


def report(
    folder: RunFolder,
    out: PageOption = None,
    static: Annotated[
        Path | None, typer.Option("--static", metavar="DIR", help="Instead: the main plots as PNG and SVG files, for a paper.")
    ] = None,
    replace: Replace = False,
    verbose: Verbose = False,
) -> None:
    """Write a run as one self-contained HTML page."""
    from hwnas import api

    run = api.open_run(folder)
    if static is None:
        console.emit(str(run.report(out, replace=replace)))
        return
    if out is not None:
        raise RequestError("--out names a page and --static a folder of pictures; ask for one of them at a time")
    for path in run.pictures(static, replace=replace):
        console.emit(str(path))


def watch(
    folder: RunFolder,
    out: PageOption = None,
    every: Annotated[str, typer.Option(metavar="TIME", help="How often to look.")] = "10s",
    replace: Replace = False,
    verbose: Verbose = False,
) -> None:
    """Keep the page of a run current while a search writes it. Open the page: it loads itself again as long as the run works."""
    from hwnas import api

    run = api.open_run(folder)
    console.note(f"Open {out or run.folder / 'report.html'}; Ctrl-C stops watching, not the search.")
    try:
        with ending_at_the_second():
            reason = run.watch(out, every=every, replace=replace)
    except KeyboardInterrupt:
        console.note("No longer watched; the page stays as it is.")
        raise typer.Exit(INTERRUPTED) from None
    console.note(f"The run is over: {reason}.")
    console.emit(str(out or run.folder / "report.html"))


def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN RUN ..", help="Folders of two runs or more.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="F.html", help="The page.")] = Path("compare.html"),
    replace: Replace = False,
    verbose: Verbose = False,
) -> None:
    """Put runs of the same data (devices, strategies, seeds) on one page: their fronts over each other, and figures."""
    from hwnas import api

    console.emit(str(api.compare(folders, out, replace=replace)))
