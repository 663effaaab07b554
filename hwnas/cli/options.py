"""Options that several commands share, and what their texts mean."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.errors import ConfigError

INTERRUPTED = 130  # the exit code of Ctrl-C

_THOUSANDS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}


def size(text: str) -> float:
    """A number with k, M or G behind it, or none. Raises ConfigError."""
    match = re.fullmatch(r"\s*([-+0-9.e_]+?)\s*([kmg]?)\s*", str(text).lower())
    try:
        return float(match[1]) * _THOUSANDS[match[2]] if match else float(text)
    except ValueError:
        raise ConfigError(f"a limit is a number, with k, M or G behind it where that is shorter, got {text!r}") from None


RunFolder = Annotated[Path, typer.Argument(help="Folder of the run.", show_default=False)]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log lines, and the traceback of a bug.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Generations = Annotated[
    int | None, typer.Option(help="Stop after this many generations (rounds of new networks), the first one not counted.")
]
TimeBudget = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Stop searching after this time: 90s, 30m, 2h. Measuring the front finely and its test errors come on top.",
    ),
]
Replace = Annotated[bool, typer.Option("--replace", help="Also over a file that hwnas did not write.")]
StartOption = Annotated[
    list[str] | None,
    typer.Option(metavar="MODEL", help="Begin with a trained network: PKG.MODULE:FACTORY, F.onnx, F.pt2, timm:NAME; repeatable."),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy", metavar="NAME", help="lemonade (default), pareto-nash, nash, nsga2, aging-evolution, random, or your own."
    ),
]
Inheritance = Annotated[
    bool | None, typer.Option("--inheritance/--no-inheritance", help="Children begin with their parents' weights; they do.")
]
DensityOption = Annotated[
    str | None,
    typer.Option("--density", metavar="kernel|uniform", help="Of lemonade: how parents are drawn; by default kernel."),
]
TuneOption = Annotated[
    bool | None,
    typer.Option("--tune/--no-tune", help="Search learning rate, weight decay, smoothing and augmentation, too; off."),
]
WeightsOption = Annotated[str | None, typer.Option(metavar="F.safetensors", help="Weights of the network of --start.")]
FreezeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", help="Tensors of the network of --start that are not trained, as layer1.*; repeatable."),
]
NormalisationOption = Annotated[
    str | None,
    typer.Option(metavar="MEAN,STD|imagenet|none", help="Of images; by default the network's, if known, or the data's."),
]
ValidationOption = Annotated[
    str | None, typer.Option("--validation", metavar="PATH", help="Data of which all images are validation images.")
]
Teaches = Annotated[
    bool | None,
    typer.Option("--teacher/--no-teacher", help="The network of --start teaches those that descend from it; by default it does."),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="Begin with an earlier run's front, weights and all, on its data unless --data is given.",
    ),
]
WithInitial = Annotated[
    bool | None, typer.Option("--with-initial", help="The search space's own networks begin with those of --start.")
]
KeepOption = Annotated[
    str | None, typer.Option("--keep", metavar="all|front", help="Whose weights stay on the disk; front where it is small.")
]
Evaluations = Annotated[int | None, typer.Option(help="Stop after this many trained networks.")]
Metric = Annotated[str | None, typer.Option(help="error or balanced_error: the mean of the classes' errors.")]
ImageSize = Annotated[str | None, typer.Option(metavar="HxW", help="Size in pixels that images are brought to, 48x64 or 48.")]
FitOption = Annotated[
    str | None, typer.Option("--fit", metavar="crop|stretch|pad", help="How images are brought to it; by default crop, centred.")
]
GroupBy = Annotated[str | None, typer.Option(metavar="COLUMN[:REGEX]", help="Rows of one group are not split.")]
MaxError = Annotated[
    float | None,
    typer.Option(help="Validation error above which a network is of no use, such as 0.1.", show_default="that of guessing"),
]
MaxLatency = Annotated[float | None, typer.Option(help="Latency limit on the device, in ms.")]
MaxParameters = Annotated[
    float | None, typer.Option(parser=size, metavar="N", help="Limit on the number of parameters: 50000 or 50k, 2M.")
]
MaxMacs = Annotated[
    float | None, typer.Option(parser=size, metavar="N", help="Limit on multiply-accumulates of one image: 3M, 1.5G.")
]
MaxExpectedChange = Annotated[
    float | None,
    typer.Option(metavar="X", help="Limit on the expected change by bit flips: predicted before a training, and kept after it."),
]
MaxMemory = Annotated[float | None, typer.Option(help="Limit on peak activations plus weights, in kB.")]


def numbers(pairs: list[str], option: str, kind: Callable[[str], Any]) -> dict[str, Any]:
    """``NAME=NUMBER`` pairs. Raises ConfigError."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = (part.strip() for part in pair.partition("="))
        try:
            number = kind(text)
        except ValueError:
            sign = ""
        if not sign or not name:
            raise ConfigError(f"{option} takes NAME=NUMBER, got {pair!r}")
        if name in found:
            raise ConfigError(f"{option} takes one number for each name, got two for {name}")
        found[name] = number
    return found


def named(text: str) -> list[str]:
    """The names of ``A, B``."""
    return [name.strip() for name in text.split(",")]


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))
