"""The application: its commands in the order in which ``--help`` lists them, and what becomes of an error."""

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hwnas.cli import console
from hwnas.cli.configuring import config
from hwnas.cli.describing import data
from hwnas.cli.ensembling import ensemble
from hwnas.cli.exporting import export, verify
from hwnas.cli.faulting import faults
from hwnas.cli.importing import import_
from hwnas.cli.lasting import lasting
from hwnas.cli.measuring import devices, measure
from hwnas.cli.options import INTERRUPTED
from hwnas.cli.reading import compare, front, pick, report, watch
from hwnas.cli.searching import resume, search
from hwnas.cli.tracking import track
from hwnas.cli.training import train
from hwnas.errors import HwnasError
from hwnas.version import __version__

COMMANDS: dict[Callable[..., None], str] = {
    data: "hwnas data ../photos --image-size 48x48 --fit pad",
    search: "hwnas search --data ../cifar10 --device local-cpu --time-budget 30m --max-latency-ms 2",
    resume: "hwnas resume runs/NAME --time-budget 1h",
    import_: "hwnas import timm:mobilenetv3_small_100 --weights model.safetensors --data ../photos",
    train: "hwnas train runs/NAME --models g7-1,g9-3 --time-budget 1h",
    front: "hwnas front runs/NAME --format json",
    pick: "hwnas pick runs/NAME --max-latency-ms 0.2 --prefer error=2,latency=1",
    export: "hwnas export runs/NAME --out bundle --models g0-3,g7-1",
    ensemble: "hwnas ensemble runs/NAME --size 3 --max-latency-ms 5 --out ensemble.onnx",
    verify: "hwnas verify bundle --data ../cifar10",
    measure: "hwnas measure model.onnx --device local-cpu --json latency.json",
    devices: "hwnas devices --check",
    config: "hwnas config --default > run.toml",
    report: "hwnas report runs/NAME --out report.html",
    watch: "hwnas watch runs/NAME --every 30s",
    track: "hwnas track runs/NAME --mlflow sqlite:///mlflow.db --optuna sqlite:///optuna.db --tensorboard events",
    compare: "hwnas compare runs/A runs/B --out compare.html",
    faults: "hwnas faults runs/NAME --half-width 0.5 --json faults.json",
}


class _Commands(TyperGroup):
    """The one place where an error becomes a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except HwnasError as error:
            _complain(str(error), error)
            raise typer.Exit(error.exit_code) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # nobody reads any more: typer ends quietly
            raise typer.Exit(_told(error)) from error


def _told(error: OSError) -> int:
    """Complain of what the system refused; gives the exit code."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    _complain(_of_the_disk(error, full), error)
    return 1 if full else 2


def _of_the_disk(error: OSError, full: bool) -> str:
    """What the system refused, and what to do; with ``--verbose`` the traceback goes before it."""
    if "--verbose" in sys.argv:
        traceback.print_exception(error)
    if full:
        return f"{error.strerror}: the disk is full; free some space and repeat the command"
    place = f"{os.fsdecode(error.filename)[:300]}: " if isinstance(error.filename, str | bytes) else ""
    return f"{place}{error.strerror or error}; check the path and its permissions"


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Find, export and check networks that are small, fast and accurate on your device.",
)
for command, example in COMMANDS.items():
    app.command(command.__name__.rstrip("_"), epilog=f"Example: {example}")(command)


def _version(value: bool) -> None:
    if value:
        console.emit(f"hwnas {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Options of ``hwnas`` itself."""


def main() -> None:
    """The command ``hwnas``."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path whose bytes are no UTF-8 is printed as it is; where it is not UTF-8 that we print, what cannot be is a "?".
        sys.stdout.reconfigure(errors="surrogateescape" if sys.stdout.encoding == "utf-8" else "replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = lasting(sys.stderr)
    sys.path.append("")  # a user's own modules may lie where the command is given
    try:
        app(prog_name="hwnas")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ImportError as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):  # what a C extension makes of Ctrl-C
            sys.exit(INTERRUPTED)
        raise
    except OSError as error:  # of --help and the like, which are no command
        sys.exit(_told(error))
    finally:
        sys.excepthook = _report_bug  # behind the call, in which typer sets its own
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # we are leaving: another Ctrl-C would only print where the exit was


def _report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What hwnas did not raise on purpose: one message, with ``--verbose`` the traceback too; the exit code is 1."""
    if "--verbose" in sys.argv:
        sys.__excepthook__(kind, error, trace)
    place = traceback.extract_tb(trace)[-1]
    _complain(
        f"this is a bug in hwnas: {kind.__name__}: {error} ({place.filename}, line {place.lineno}). "
        "Please report it with what the same command prints with --verbose.",
        error,
    )


def _complain(message: str, error: BaseException) -> None:
    """Say what went wrong, and what a command noted on the error: how to go on."""
    console.complain(message)
    for note in getattr(error, "__notes__", ()):
        console.note(note)
