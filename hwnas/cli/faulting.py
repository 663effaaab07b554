"""``hwnas faults``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli import console, fault_tables
from hwnas.cli.interrupting import ending_at_the_second
from hwnas.cli.options import INTERRUPTED, Quiet, Replace, RunFolder, Verbose, named


def faults(
    folder: RunFolder,
    models: Annotated[str, typer.Option(metavar="front|none|ID,..", help="Which models of the run.")] = "front",
    onnx: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Your own ONNX classifier; may be repeated.")] = None,
    fault: Annotated[str, typer.Option(metavar="F,..", help="single, ber, stuck-at, burst.")] = "single,ber",
    target: Annotated[str, typer.Option(help="weights or activations.")] = "weights",
    dtype: Annotated[str, typer.Option(help="float32, float16, bfloat16, int8, log8.")] = "float32",
    ber: Annotated[str | None, typer.Option(metavar="P,..", help="Bit error rates; by default 1e-7 to 1e-3.")] = None,
    half_width: Annotated[float, typer.Option(help="Of the 95 % interval to stop at, in percentage points of accuracy.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Of the list of faults.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="F", help="Write every figure and fault as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="F.html", help="Plots; by default faults/faults.html in the run.")] = None,
    replace: Replace = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Flip bits in models and see which keep working, with intervals. A campaign that was stopped goes on where it was."""
    chosen = models if models == "front" else [] if models == "none" else named(models)
    names = named(fault)
    settings: dict[str, Any] = {"target": target, "dtype": dtype, "half_width": half_width, "seed": seed}
    if ber is not None:
        settings["bers"] = ber
    try:
        with ending_at_the_second():
            from hwnas import api

            reads, page = onnx or [], plot or folder / "faults" / "faults.html"
            figures = None if json_file is None else api.Output(path=json_file, kind=api.FAULTS, reads=reads, replace=replace)
            plots = api.Output(path=page, kind=api.PLOTS, reads=reads, replace=replace)
            if figures is not None:
                figures.refuse_unwritable()
            if plot is not None:  # its default lies in the run, where campaigns are written first
                plots.refuse_unwritable()
            plots.refuse_foreign()
            report = api.open_run(folder).faults(
                models=chosen,
                onnx=onnx or (),
                faults=names,
                watch=None if quiet else api.stage_listener(console.note),
                **settings,
            )
    except KeyboardInterrupt:
        console.note("Stopped; every fault that was tried is kept. The same command goes on.")
        raise typer.Exit(INTERRUPTED) from None
    if figures is not None:  # files first: what is printed may go to a pipe that nobody reads to its end
        api.write_faults(figures, report, {"fault": names, **settings})
    api.write_fault_plots(plots, report)
    for table in fault_tables.tables(report):
        console.show_table(*table)
        console.emit("")
    for words in fault_tables.legend(report):
        console.note(words)
    for remark in fault_tables.remarks(report, names, half_width):
        console.note(remark)
    console.note(f"Plots: {page}")
