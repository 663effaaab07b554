"""``hwnas``: thin commands over ``hwnas.api``.

Each command imports the api when it runs, so that ``--help`` is quick and a command that reads a run never loads torch. Results
go to stdout, everything else to stderr. Exit code 0: done; 1: the work failed; 2: the request was wrong; 130: Ctrl-C.
"""

import enum
import json
import shlex
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hwnas import __version__, console
from hwnas.errors import ConfigError, HwnasError

INTERRUPTED = 130


class _Commands(TyperGroup):
    """The one place where an error becomes a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except HwnasError as error:
            console.complain(str(error))
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Find, export and check networks that are small, fast and accurate on your device.",
)


class Form(enum.StrEnum):
    """How entries are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def _version(value: bool) -> None:
    if value:
        console.emit(f"hwnas {__version__}")
        raise typer.Exit


RunFolder = Annotated[Path, typer.Argument(help="Folder of the run.", show_default=False)]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log lines, and the traceback of a bug.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Generations = Annotated[int | None, typer.Option(help="Stop after this many generations, the initial one not counted.")]
TimeBudget = Annotated[str | None, typer.Option(metavar="TIME", help="Stop after this time: 90s, 30m, 2h.")]
Evaluations = Annotated[int | None, typer.Option(help="Stop after this many trained networks.")]
MaxLatency = Annotated[float | None, typer.Option(help="Latency limit on the device, in ms.")]
MaxParameters = Annotated[float | None, typer.Option(help="Limit on the number of parameters.")]
MaxMacs = Annotated[float | None, typer.Option(help="Limit on multiply-accumulates of one image.")]
MaxMemory = Annotated[float | None, typer.Option(help="Limit on live activations, in kB.")]
DeviceOption = Annotated[str, typer.Option(metavar="NAME|PATH.toml", help="Hardware profile.")]


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Options of ``hwnas`` itself."""


@app.command(epilog="Example: hwnas search --data ../cifar10 --device local-cpu --time-budget 30m --max-latency-ms 2")
def search(
    ctx: typer.Context,
    config: Annotated[Path | None, typer.Option(metavar="RUN.toml", help="Configuration; options override it.")] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="Parquet or image folder; by default digits.")] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME|PATH.toml", help="Hardware profile; by default local-cpu.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Search strategy; by default lemonade.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; by default 0.")] = None,
    workers: Annotated[int | None, typer.Option(help="Training processes; by default one a physical core.")] = None,
    executor: Annotated[str | None, typer.Option(help="Where networks are trained: local (default) or ray.")] = None,
    ray_address: Annotated[str | None, typer.Option(metavar="A", help="Ray cluster: auto (default), HOST:PORT, local.")] = None,
    generations: Generations = None,
    time_budget: TimeBudget = None,
    max_evaluations: Evaluations = None,
    max_latency_ms: MaxLatency = None,
    max_parameters: MaxParameters = None,
    max_macs: MaxMacs = None,
    max_memory_kb: MaxMemory = None,
    objectives: Annotated[
        str | None, typer.Option(metavar="A,B,..", help="By default error,parameters,latency_ms,sensitivity.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="error or balanced_error.")] = None,
    image_size: Annotated[str | None, typer.Option(metavar="HxW", help="Size that images are brought to.")] = None,
    group_by: Annotated[str | None, typer.Option(metavar="COLUMN[:REGEX]", help="Rows of one group are not split.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run, new or empty; by default runs/DATA-DEVICE-TIME.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Search for a Pareto front of trained networks. Without options: digits, this CPU, three minutes."""
    from hwnas import api

    settings = api.configured(config, **{name: ctx.params[name] for name in api.OPTIONS})
    folder = out or api.default_folder(settings)
    run = _searching(folder, quiet, verbose, lambda listener: api.start(folder, config=settings, listener=listener))
    _finale(run, quiet)


@app.command(epilog="Example: hwnas resume runs/NAME --time-budget 1h")
def resume(
    folder: RunFolder,
    generations: Generations = None,
    time_budget: TimeBudget = None,
    max_evaluations: Evaluations = None,
    remeasure: Annotated[bool, typer.Option("--remeasure", help="On another device: measure every network there.")] = False,
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
            listener=listener,
        ),
    )
    if as_json:
        front = [entry.id for entry in run.front()]
        console.emit_json({"reason": ended.reason, "reused": ended.reused, "trained": ended.trained, "front": front})
    else:
        _finale(run, quiet)


@app.command(epilog="Example: hwnas front runs/NAME --format json")
def front(
    folder: RunFolder,
    everything: Annotated[bool, typer.Option("--all", help="Dominated, failed and infeasible candidates too.")] = False,
    form: Annotated[Form, typer.Option("--format", help="How to print it.")] = Form.table,
    verbose: Verbose = False,
) -> None:
    """Print the Pareto front of a run, also while it is being written."""
    from hwnas import api

    run = api.open_run(folder)
    console.show_entries(run.rows() if everything else run.front(), form.value)


@app.command(epilog="Example: hwnas pick runs/NAME --max-latency-ms 0.2 --prefer error=2,latency=1")
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
    weights = _numbers(prefer.split(",") if prefer else [], "--prefer", float)
    picked = api.open_run(folder).pick({name: value for name, value in limits.items() if value is not None}, weights)
    console.show_entries([picked.entry], "table")
    console.emit(picked.reason)


@app.command(epilog="Example: hwnas export runs/NAME --out bundle --models g0-3,g7-1")
def export(
    folder: RunFolder,
    out: Annotated[Path, typer.Option(help="Folder of the bundle, new or an old bundle.", show_default=False)],
    models: Annotated[str, typer.Option(metavar="front|ID,..", help="Which models.")] = "front",
    precision: Annotated[str, typer.Option(metavar="P,..", help="float32, float16, int8.")] = "float32",
    guard: Annotated[bool, typer.Option("--guard", help="Also files whose activations are clipped, against bit flips.")] = False,
    verbose: Verbose = False,
) -> None:
    """Write models as ONNX files, each checked against the trained network before it lands in the folder."""
    from hwnas import api

    chosen = models if models == "front" else models.split(",")
    manifest = api.open_run(folder).export(out, models=chosen, precisions=precision.split(","), guard=guard)
    rows = [[f.name, f"{f.size_bytes:,}", f"{f.difference:.1e}", f"{f.top1_agreement:.1%}"] for f in manifest.files]
    console.show_table(["file", "bytes", "logits differ by", "same class as torch"], rows)
    console.note(f"{len(rows)} files, all checked, are in {out}. Check them again anywhere: hwnas verify {_quoted(out)}")


@app.command(epilog="Example: hwnas verify bundle --data ../cifar10")
def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder that hwnas export wrote.", show_default=False)],
    data: Annotated[str | None, typer.Option(metavar="PATH", help="The data, to compute the test errors anew.")] = None,
    verbose: Verbose = False,
) -> None:
    """Check an exported bundle: hashes, parity on its stored inputs, and the test errors where the data are given."""
    from hwnas import api

    checks = api.verify(bundle, data)
    rows = [
        [check.file.name, "ok" if check.passed else check.problem or "",
         "" if check.file.difference is None else f"{check.file.difference:.1e}",
         "" if check.test is None else f"{check.test.error:.2%}",
         "" if check.test is None or check.test.stated is None else f"{check.test.stated:.2%}"]
        for check in checks
    ]  # fmt: skip
    console.show_table(["file", "result", "logits differ by", "test error", "stated"], rows)
    if not all(check.passed for check in checks):
        console.complain(f"{sum(not check.passed for check in checks)} of {len(checks)} files are not as they were exported")
        raise typer.Exit(1)


@app.command(epilog="Example: hwnas measure model.onnx --device local-cpu --json latency.json")
def measure(
    model: Annotated[Path, typer.Argument(help="Any ONNX file.", show_default=False)],
    device: DeviceOption = "local-cpu",
    json_file: Annotated[Path | None, typer.Option("--json", metavar="F", help="Write everything measured as JSON.")] = None,
    shape: Annotated[list[str] | None, typer.Option(metavar="NAME=N", help="Size of a symbolic dimension.")] = None,
    verbose: Verbose = False,
) -> None:
    """Measure the latency of an ONNX file on a device."""
    from hwnas import api

    latency, fingerprint = api.measure(model, device, shapes=_numbers(shape or [], "--shape", int))
    facts = {
        "latency": f"{latency.latency_ms:.4f} ms ± {latency.ci_ms:.4f} ms (95 % interval)",
        "uncorrected": f"{latency.raw_ms:.4f} ms",
        "samples": f"{latency.samples} in {latency.blocks} blocks, {latency.elapsed_s:.1f} s",
        "percentiles": f"50 %: {latency.p50_ms:.4f} ms, 90 %: {latency.p90_ms:.4f} ms, 99 %: {latency.p99_ms:.4f} ms",
        "memory": "unknown" if latency.peak_memory_kb is None else f"{latency.peak_memory_kb:,} kB at most",
        "loading": f"{latency.load_ms:.1f} ms",
        "quiet": "yes" if latency.quiet else "no: other work disturbed, see the interval",
        "device": f"{device}: {fingerprint.cpu}, ONNX Runtime {fingerprint.onnxruntime}",
    }
    console.show_facts(facts)
    if json_file is not None:
        content = {"model": str(model), "device": device, **latency.to_json(), "fingerprint": fingerprint.to_json()}
        _write(json_file, json.dumps(content, indent=2, allow_nan=False))


@app.command(epilog="Example: hwnas devices --check")
def devices(
    check: Annotated[bool, typer.Option("--check", help="Reach each device, say what it is and how quiet.")] = False,
    device: Annotated[list[str] | None, typer.Option(metavar="NAME|PATH.toml", help="Only this one; may be repeated.")] = None,
    verbose: Verbose = False,
) -> None:
    """List the hardware profiles. Exit code 1 where one named by --device was not reached."""
    from hwnas import api

    found = api.devices(check=check, names=device)
    if not check:
        rows = [[each.name, each.profile.kind, each.reached, each.profile.description] for each in found]
        console.show_table(["name", "kind", "reached", "description"], rows)
    for each in found if check else ():
        console.show_facts(each.facts())
        console.emit("")
    if device and any(each.problem for each in found):
        raise typer.Exit(1)


@app.command(epilog="Example: hwnas report runs/NAME --out report.html")
def report(
    folder: RunFolder,
    out: Annotated[Path | None, typer.Option(metavar="F.html", help="By default report.html in the run's folder.")] = None,
    verbose: Verbose = False,
) -> None:
    """Write a run as one self-contained HTML page."""
    from hwnas import api

    console.emit(str(api.open_run(folder).report(out)))


@app.command(epilog="Example: hwnas faults runs/NAME --half-width 0.5 --json faults.json")
def faults(
    folder: RunFolder,
    models: Annotated[str, typer.Option(metavar="front|none|ID,..", help="Which models of the run.")] = "front",
    onnx: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Your own ONNX classifier; may be repeated.")] = None,
    fault: Annotated[str, typer.Option(metavar="F,..", help="single, ber, stuck-at, burst.")] = "single,ber",
    target: Annotated[str, typer.Option(help="weights or activations.")] = "weights",
    dtype: Annotated[str, typer.Option(help="float32, float16, bfloat16, int8.")] = "float32",
    ber: Annotated[str | None, typer.Option(metavar="P,..", help="Bit error rates; by default 1e-7 to 1e-3.")] = None,
    half_width: Annotated[float, typer.Option(help="Of the 95 % interval to stop at, in points of accuracy.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Of the list of faults.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="F", help="Write every figure and fault as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="F.html", help="Plots; by default faults/faults.html in the run.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Flip bits in models and see which keep working, with intervals. A campaign that was stopped goes on where it was."""
    from hwnas import api, fault_tables
    from hwnas.injection import as_json, as_text
    from hwnas.injection.figures import figures_page

    chosen = models if models == "front" else [] if models == "none" else models.split(",")
    names = fault.split(",")
    try:
        report = api.open_run(folder).faults(
            models=chosen, onnx=onnx or (), faults=names, target=target, dtype=dtype, half_width=half_width, seed=seed,
            watch=(lambda stage: None) if quiet else (lambda stage: console.note(as_text(stage))),
            **({} if ber is None else {"bers": ber}),
        )  # fmt: skip
    except KeyboardInterrupt:
        console.note("Stopped; every fault that was tried is kept. The same command goes on.")
        raise typer.Exit(INTERRUPTED) from None
    for table in fault_tables.tables(report):
        console.show_table(*table)
        console.emit("")
    for remark in fault_tables.remarks(report, names):
        console.note(remark)
    if json_file is not None:
        asked = {"fault": names, "target": target, "dtype": dtype, "half_width": half_width, "seed": seed}
        _write(json_file, json.dumps(as_json(report, asked), indent=1, allow_nan=False))
    _write(page := plot or folder / "faults" / "faults.html", figures_page(report))
    console.note(f"Plots: {page}")


def main() -> None:
    """The command ``hwnas``."""
    try:
        app(prog_name="hwnas")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        sys.excepthook = _report_bug  # behind the call, in which typer sets its own
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # we are leaving: another Ctrl-C would only print where the exit was


def _report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What hwnas did not raise on purpose: one message, with ``--verbose`` the traceback too; the exit code is 1."""
    if "--verbose" in sys.argv:
        sys.__excepthook__(kind, error, trace)
    place = traceback.extract_tb(trace)[-1]
    console.complain(
        f"this is a bug in hwnas: {kind.__name__}: {error} ({place.filename}, line {place.lineno}). "
        "Please report it with what the same command prints with --verbose."
    )


def _searching(folder: Path, quiet: bool, verbose: bool, work: Callable[[Any], Any]) -> Any:
    """Do the work with its progress shown; on Ctrl-C say how to go on."""
    try:
        with console.progress_shown(quiet=quiet, verbose=verbose) as listener:
            return work(listener)
    except KeyboardInterrupt:
        if (folder / "run.sqlite").exists():
            console.note(f"Stopped; every network that was trained is kept. Go on with: hwnas resume {_quoted(folder)}")
        else:
            console.note("Stopped before the search began; nothing was written.")
        raise typer.Exit(INTERRUPTED) from None


def _finale(run: Any, quiet: bool) -> None:
    console.show_entries(run.front(), "table")
    if not quiet:
        folder = _quoted(run.folder)
        console.note(
            f"\nThe run lies in {folder} ({run.ended()}). Next:\n  hwnas pick {folder} --prefer error=2,parameters=1\n"
            f"  hwnas export {folder} --out bundle\n  hwnas report {folder}"
        )


def _numbers(pairs: list[str], option: str, kind: Callable[[str], Any]) -> dict[str, Any]:
    """``NAME=NUMBER`` pairs. Raises ConfigError."""
    numbers = {}
    for pair in pairs:
        name, sign, number = pair.partition("=")
        try:
            numbers[name.strip()] = kind(number)
        except ValueError:
            sign = ""
        if not sign or not name.strip():
            raise ConfigError(f"{option} takes NAME=NUMBER, got {pair!r}")
    return numbers


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another file") from error


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
