"""``hwnas track``."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli import console
from hwnas.cli.interrupting import ending_at_the_second
from hwnas.cli.options import INTERRUPTED, RunFolder, Verbose


def track(
    folder: RunFolder,
    mlflow: Annotated[str | None, typer.Option(metavar="URI", help="MLflow's store: a server, or sqlite:///FILE.")] = None,
    tensorboard: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for TensorBoard's event files.")] = None,
    optuna: Annotated[str | None, typer.Option(metavar="URL", help="Optuna's storage, such as sqlite:///optuna.db.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The run's name there; by default its folder's.")] = None,
    experiment: Annotated[str, typer.Option(metavar="NAME", help="Of MLflow.")] = "hwnas",
    follow: Annotated[bool, typer.Option("--follow", help="While a search writes the run: go on until it is over.")] = False,
    every: Annotated[str, typer.Option(metavar="TIME", help="With --follow: how often to look.")] = "30s",
    verbose: Verbose = False,
) -> None:
    """Write a run into experiment trackers: MLflow, TensorBoard, Optuna. A second time only what is new is added."""
    from hwnas import api

    run = api.open_run(folder)
    if follow:
        console.note("Following the run; Ctrl-C stops following, not the search.")
    try:
        with ending_at_the_second():
            done = run.track(
                mlflow=mlflow, tensorboard=tensorboard, optuna=optuna, name=name, experiment=experiment,
                every=every if follow else None,
            )  # fmt: skip
    except KeyboardInterrupt:
        console.note("No longer followed; what was written stays.")
        raise typer.Exit(INTERRUPTED) from None
    for tracked in done:
        console.emit(str(tracked))
    if not done:
        console.note("The run has not begun: there is nothing to write yet.")
