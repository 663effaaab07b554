"""What only reads a run: ``hwnas front``, ``hwnas pick`` and ``hwnas report``."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli import console
from hwnas.cli.options import MaxLatency, MaxMacs, MaxMemory, MaxParameters, Replace, RunFolder, Verbose, numbers


class Form(enum.StrEnum):
    """How entries are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def front(
    folder: RunFolder,
    everything: Annotated[bool, typer.Option("--all", help="Dominated, failed and infeasible candidates too.")] = False,
    form: Annotated[Form, typer.Option("--format", help="How to print it.")] = Form.table,
    verbose: Verbose = False,
) -> None:
    """Print the Pareto front of a run, also while it is being written."""
    from hwnas import api

    run = api.open_run(folder)
    found = run.rows() if everything else run.front()
    if found or form is not Form.table:
        console.show_entries(found, form.value, run.objectives)
    else:
        console.note(run.why_empty() or "")
    for warning in filter(None, (run.why_of_no_use(), run.lost())):
        console.note(warning)


def pick(
    folder: RunFolder,
    max_latency_ms: MaxLatency = None,
    max_parameters: MaxParameters = None,
    max_macs: MaxMacs = None,
    max_memory_kb: MaxMemory = None,
    prefer: Annotated[str | None, typer.Option(metavar="NAME=WEIGHT,..", help="What matters; by default all alike.")] = None,
    verbose: Verbose = False,
) -> None:
    """Print one model of the front, and why it is the one."""
    from hwnas import api

    limits = {"latency_ms": max_latency_ms, "parameters": max_parameters, "macs": max_macs, "memory_kb": max_memory_kb}
    weights = numbers(prefer.split(",") if prefer else [], "--prefer", float)
    run = api.open_run(folder)
    picked = run.pick({name: value for name, value in limits.items() if value is not None}, weights)
    console.show_entries([picked.entry], "table", run.objectives)
    console.emit(picked.reason)
    if warning := run.why_of_no_use():
        console.note(warning)


def report(
    folder: RunFolder,
    out: Annotated[Path | None, typer.Option(metavar="F.html", help="By default report.html in the run's folder.")] = None,
    replace: Replace = False,
    verbose: Verbose = False,
) -> None:
    """Write a run as one self-contained HTML page."""
    from hwnas import api

    console.emit(str(api.open_run(folder).report(out, replace=replace)))
