"""``hwnas faults``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import console, fault_tables, fault_words
from hwnas.cli.interrupting import ending_at_the_second
from hwnas.cli.options import INTERRUPTED, Quiet, Replace, Verbose, named
from hwnas.errors import RequestError

if TYPE_CHECKING:
    from hwnas.api import Output
    from hwnas.campaign import FaultReport

NormalisedBy = Annotated[
    str | None,
    typer.Option(metavar="MEAN,STD|imagenet|none", help="With --data: what their images are normalised by; by default none."),
]
ImagesOption = Annotated[int | None, typer.Option("--validation-images", help="With --data: this many; by default all.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="With --data: folder of the campaigns; by default faults.")]


def faults(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of the run; without one give --onnx and --data.", show_default=False)
    ] = None,
    models: Annotated[str, typer.Option(metavar="front|none|ID,..", help="Which models of the run.")] = "front",
    onnx: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Your own ONNX classifier; may be repeated.")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="Without a run: parquet or image folder; its validation images are met.")
    ] = None,
    normalisation: NormalisedBy = None,
    validation_images: ImagesOption = None,
    out: OutOption = None,
    fault: Annotated[str, typer.Option(metavar="F,..", help="single, ber, stuck-at, burst.")] = "single,ber",
    target: Annotated[str, typer.Option(help="weights or activations.")] = "weights",
    dtype: Annotated[str, typer.Option(help="float32, float16, bfloat16, int8, log8.")] = "float32",
    ber: Annotated[str | None, typer.Option(metavar="P,..", help="Bit error rates; by default 1e-7 to 1e-3.")] = None,
    half_width: Annotated[float, typer.Option(help="Of the 95 % interval to stop at, in percentage points of accuracy.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Of the list of faults.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="F", help="Write every figure and fault as JSON.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="F.html", help="Plots on a page of their own; by default the run's report has them.")
    ] = None,
    replace: Replace = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Flip bits in models and see which keep working, with intervals. A campaign that was stopped continues where it was.

    Models are those of a run, and any ONNX classifier: hwnas faults --onnx model.onnx --data photos.
    """
    campaigns = _folder(folder, data, {"--normalisation": normalisation, "--validation-images": validation_images, "--out": out})
    chosen = models if models == "front" else [] if models == "none" else named(models)
    names = named(fault)
    settings: dict[str, Any] = {"target": target, "dtype": dtype, "half_width": half_width, "seed": seed}
    settings |= {} if ber is None else {"bers": ber}
    try:
        with ending_at_the_second():
            from hwnas import api

            reads, is_report = onnx or [], folder is not None and plot is None
            page = folder / "report.html" if folder is not None and is_report else plot or campaigns / "faults.html"
            figures, plots = _outputs(json_file, page, reads, replace=replace, asked=plot is not None, is_report=is_report)
            watch = None if quiet else api.stage_listener(console.note)
            if folder is None:
                assert data is not None
                options = {"normalisation": normalisation, "validation_images": validation_images, **settings}
                report = api.faults(reads, data, folder=campaigns, faults=names, watch=watch, **options)
            else:
                report = api.open_run(folder).faults(models=chosen, onnx=reads, faults=names, watch=watch, **settings)
    except KeyboardInterrupt:
        console.note("Stopped; every fault that was tried is kept. The same command continues.")
        raise typer.Exit(INTERRUPTED) from None
    if figures is not None:  # files first: what is printed may go to a pipe that nobody reads to its end
        api.write_faults(figures, report, {"fault": names, **settings})
    if folder is not None and is_report:
        api.open_run(folder).report(replace=replace)
    else:
        api.write_fault_plots(plots, report)
    _show(report, names, half_width)
    console.note(f"Plots: {page}")


def _outputs(
    json_file: Path | None, page: Path, reads: list[Path], *, replace: bool, asked: bool, is_report: bool
) -> "tuple[Output | None, Output]":
    """The file of figures, and that of plots: the run's report, or what was ``asked`` for, or among the campaigns.

    Raises RequestError where one cannot or must not be written.
    """
    from hwnas import api

    figures = None if json_file is None else api.Output(path=json_file, kind=api.FAULTS, reads=reads, replace=replace)
    plots = api.Output(path=page, kind=api.REPORT if is_report else api.PLOTS, reads=reads, replace=replace)
    if figures is not None:
        figures.refuse_unwritable()
    if asked:  # its default lies in the run, where campaigns are written first
        plots.refuse_unwritable()
    plots.refuse_foreign()
    return figures, plots


def _show(report: "FaultReport", names: list[str], half_width: float) -> None:
    """Tables, what they mean, and how to read them."""
    for table in fault_tables.tables(report):
        console.show_table(*table)
        console.emit("")
    for sentence in fault_words.sentences(report):
        console.emit(sentence)
    for words in fault_tables.legend(report):
        console.note(words)
    for remark in fault_tables.remarks(report, names, half_width):
        console.note(remark)


def _folder(run: Path | None, data: str | None, others: Mapping[str, Any]) -> Path:
    """Where campaigns lie. Raises RequestError where there is neither a run nor data, or both."""
    if run is None:
        if data is None:
            raise RequestError("name the folder of a run, or ONNX classifiers and data: hwnas faults --onnx F.onnx --data PATH")
        return others["--out"] or Path("faults")
    if given := [name for name, value in {"--data": data, **others}.items() if value is not None]:
        raise RequestError(f"{', '.join(given)} belongs to files without a run; the networks of {run} meet the run's own data")
    return run / "faults"
