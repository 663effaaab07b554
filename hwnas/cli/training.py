"""``hwnas train``."""

from typing import Annotated

import typer

from hwnas.cli import console
from hwnas.cli.options import INTERRUPTED, Quiet, RunFolder, Verbose, named, quoted

Teacher = Annotated[
    str,
    typer.Option(
        metavar="original|best|ID|NETWORK|none",
        help="Whose answers are learned, too: those of the network that the run began with, if it did with yours; best "
        "teaches those that it clearly beats; NETWORK is one from outside, named as by --start (MODEL.onnx, timm:NAME ..).",
    ),
]
AlsoValidation = Annotated[
    bool,
    typer.Option(
        "--also-validation",
        help="Learn the validation images, too, for shipping: more images, but no validation error, so they are on no front; the "
        "test images still tell their error.",
    ),
]


def train(
    folder: RunFolder,
    models: Annotated[str, typer.Option(metavar="front|ID,..", help="Which models.")] = "front",
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images, for each model; by default 60.")] = None,
    time_budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Instead: for all of them together, 30m or 2h; each gets as many passes.")
    ] = None,
    init: Annotated[str, typer.Option(metavar="inherited|scratch", help="Start from the weights at hand, or from new ones.")] = (
        "inherited"
    ),
    teacher: Teacher = "original",
    also_validation: AlsoValidation = False,
    workers: Annotated[int | None, typer.Option(help="Training processes; by default as in the search.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train models to the end: one long schedule, where the search trained each only briefly.

    Each result is a model of its own, t0-0 and so on, and takes its parent's place on the front where it is better. What was
    stopped continues with the same command, from at most a minute before.
    """
    from hwnas import api

    run = api.open_run(folder)
    chosen = models if models == "front" else named(models)
    try:
        with console.progress_shown(quiet=quiet, verbose=verbose) as listener:
            done = run.train(
                chosen,
                epochs=epochs,
                time_budget=time_budget,
                init=init,
                teacher=teacher,
                also_validation=also_validation,
                workers=workers,
                listener=listener,
            )
    except KeyboardInterrupt:
        console.note("Stopped; what was trained is kept. The same command continues.")
        raise typer.Exit(INTERRUPTED) from None
    if not done.candidates:
        console.note("Nothing is left to do: these models have been trained like this already.")
    entries = {entry.id: entry for entry in run.rows()}
    shown = [entries[name] for name in done.candidates if name in entries]
    console.show_entries(shown or run.front(), "table", run.objectives)
    if not quiet:
        console.note(f"\nThe front: hwnas front {quoted(folder)}")
