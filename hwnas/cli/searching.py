"""``hwnas search`` and ``hwnas resume``."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli import console
from hwnas.cli.options import (
    INTERRUPTED,
    DensityOption,
    Evaluations,
    FitOption,
    FreezeOption,
    FromOption,
    Generations,
    GroupBy,
    ImageSize,
    Inheritance,
    KeepOption,
    MaxError,
    MaxExpectedChange,
    MaxLatency,
    MaxMacs,
    MaxMemory,
    MaxParameters,
    Metric,
    NormalisationOption,
    Quiet,
    RunFolder,
    StartOption,
    StrategyOption,
    Teaches,
    TimeBudget,
    TuneOption,
    ValidationOption,
    Verbose,
    WeightsOption,
    WithInitial,
    quoted,
)
from hwnas.errors import DiskFullError, RequestError, StoreError


def search(
    ctx: typer.Context,
    config: Annotated[Path | None, typer.Option(metavar="RUN.toml", help="Configuration; options override it.")] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="Parquet or image folder; by default digits.")] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME|PATH.toml", help="Hardware profile; by default local-cpu.")] = None,
    strategy: StrategyOption = None,
    inherit: Inheritance = None,
    density: DensityOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; by default 0.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Training processes; by default one a physical core; 0: train in this process.")
    ] = None,
    executor: Annotated[str | None, typer.Option(help="Where networks are trained: local (default) or ray.")] = None,
    ray_address: Annotated[str | None, typer.Option(metavar="A", help="Ray cluster: auto (default), HOST:PORT, local.")] = None,
    asynchronous: Annotated[
        bool | None,
        typer.Option("--async", help="A new network whenever a worker is free: where trainings differ in length."),
    ] = None,
    rungs: Annotated[
        bool | None,
        typer.Option("--stop-early/--train-fully", "--rungs/--no-rungs", help="Stop the worse half of the trainings early; off."),
    ] = None,
    tune: TuneOption = None,
    generations: Generations = None,
    time_budget: TimeBudget = None,
    max_evaluations: Evaluations = None,
    max_error: MaxError = None,
    max_latency_ms: MaxLatency = None,
    max_parameters: MaxParameters = None,
    max_macs: MaxMacs = None,
    max_memory_kb: MaxMemory = None,
    max_expected_change: MaxExpectedChange = None,
    objectives: Annotated[
        str | None, typer.Option(metavar="A,B,..", help="By default error,parameters,latency_ms,expected_change.")
    ] = None,
    metric: Metric = None,
    image_size: ImageSize = None,
    fit: FitOption = None,
    group_by: GroupBy = None,
    keep: KeepOption = None,
    start: StartOption = None,
    weights: WeightsOption = None,
    freeze: FreezeOption = None,
    normalisation: NormalisationOption = None,
    validation: ValidationOption = None,
    from_run: FromOption = None,
    with_initial: WithInitial = None,
    original_teaches: Teaches = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run, new or empty; by default runs/DATA-DEVICE-TIME.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Search for a Pareto front of trained networks. Without options: digits, this CPU, three minutes."""
    from hwnas import api

    settings = api.configured(config, **{name: ctx.params[name] for name in api.OPTIONS if name in ctx.params})
    folder = out or api.default_folder(settings)
    run = _searching(folder, quiet, verbose, lambda listener: api.start(folder, config=settings, listener=listener))
    _finale(run, quiet)


def resume(
    folder: RunFolder,
    generations: Generations = None,
    time_budget: TimeBudget = None,
    max_evaluations: Evaluations = None,
    remeasure: Annotated[bool, typer.Option("--remeasure", help="On another device: measure every network there.")] = False,
    keep: KeepOption = None,
    seed: Annotated[int | None, typer.Option(help="Refuse a run with another seed.")] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="Refuse a run with other data.")] = None,
    objectives: Annotated[str | None, typer.Option(metavar="A,B,..", help="Refuse a run with other objectives.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON what was reused and trained.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Go on with a run that was interrupted, or with a larger budget (of the whole run). Nothing is trained twice."""
    from hwnas import api

    run = api.open_run(folder)
    ended = _searching(
        folder,
        quiet,
        verbose,
        lambda listener: run.resume(
            generations=generations,
            time_budget=time_budget,
            max_evaluations=max_evaluations,
            remeasure=remeasure,
            keep=keep,
            expected={"seed": seed, "data": data, "objectives": objectives},
            listener=listener,
        ),
    )
    if as_json:
        front = [entry.id for entry in run.front()]
        counts = {"reused": ended.reused, "trained": ended.trained, "reopened": ended.reopened}
        console.emit_json({"reason": ended.reason, **counts, "front": front})
        return
    if ended.reopened:
        console.note(f"{ended.reopened} untrained networks were over the other device's limit; they may be proposed again.\n")
    _finale(run, quiet)


def _searching(folder: Path, quiet: bool, verbose: bool, work: Callable[[Any], Any]) -> Any:
    """Do the work with its progress shown; whatever stops it, say how to go on."""
    from hwnas import api

    advice = f"Every network that was trained is kept. Go on with: hwnas resume {quoted(folder)}"

    def advise(kind: object, error: BaseException | None, trace: object) -> None:
        # Going on would meet what is damaged again.
        is_damaged = isinstance(error, StoreError) and not isinstance(error, DiskFullError)
        if isinstance(error, Exception) and not isinstance(error, RequestError) and not is_damaged and api.is_run(folder):
            error.add_note(advice)  # of a wrong request nothing was begun

    try:
        with ExitStack() as stack:
            stack.push(advise)
            return work(stack.enter_context(console.progress_shown(quiet=quiet, verbose=verbose)))
    except KeyboardInterrupt:
        console.note(f"Stopped. {advice}" if api.is_run(folder) else "Stopped before the search began; nothing was written.")
        raise typer.Exit(INTERRUPTED) from None


def _finale(run: Any, quiet: bool) -> None:
    from hwnas import api

    rows, folder = run.rows(), quoted(run.folder)
    front = [entry for entry in rows if entry.on_front]
    if not front:
        console.note(
            f"{run.why_empty()}: hwnas front {folder} --all\nThe run lies in {folder} ({run.ended()}). "
            f"More time may help: hwnas resume {folder} --time-budget {api.suggested_time(run.folder)}"
        )
        return
    console.show_front(front, run.objectives, folder, quiet=quiet)
    if not quiet:
        console.show_lines(api.beside_original(rows))
    if warning := api.why_of_no_use(rows, run.objectives):
        console.note(f"\n{warning}")
    if warning := run.too_short():
        console.note(f"\n{warning}. Go on with more: hwnas resume {folder} --time-budget {api.suggested_time(run.folder)}")
    if not quiet:
        console.note(
            f"\nThe run lies in {folder} ({run.ended()}). Next:\n  hwnas pick {folder} --prefer error=2,parameters=1\n"
            f"  hwnas export {folder} --out bundle\n  hwnas report {folder}"
        )
