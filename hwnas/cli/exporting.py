"""``hwnas export`` and ``hwnas verify``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli import console
from hwnas.cli.options import RunFolder, Verbose, named, quoted

if TYPE_CHECKING:
    from hwnas.api import BundleCheck


def export(
    folder: RunFolder,
    out: Annotated[Path, typer.Option(help="Folder of the bundle, new or an old bundle.", show_default=False)],
    models: Annotated[str, typer.Option(metavar="front|ID,..", help="Which models.")] = "front",
    precision: Annotated[str, typer.Option(metavar="P,..", help="float32, float16, int8.")] = "float32",
    guard: Annotated[bool, typer.Option("--guard", help="Also float32 and int8 files guarded against bit flips.")] = False,
    verbose: Verbose = False,
) -> None:
    """Write models as ONNX files, each checked against the trained network before it lands in the folder."""
    from hwnas import api

    chosen = models if models == "front" else named(models)
    manifest = api.open_run(folder).export(out, models=chosen, precisions=named(precision), guard=guard)
    rows = [[f.name, f"{f.size_bytes:,}", f"{f.difference:.1e}", f"{f.top1_agreement:.1%}"] for f in manifest.files]
    console.show_table(["file", "bytes", "logits differ by", "same class as torch"], rows)
    console.note(f"{len(rows)} files, all checked, are in {out}. Check them again anywhere: hwnas verify {quoted(out)}")


def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder that hwnas export wrote.", show_default=False)],
    data: Annotated[str | None, typer.Option(metavar="PATH", help="The data, to compute the test errors anew.")] = None,
    verbose: Verbose = False,
) -> None:
    """Check an exported bundle: hashes, parity on its stored inputs, and the test errors where the data are given."""
    from hwnas import api

    checks = api.verify(bundle, data)
    console.show_table(["file", "result", "logits differ by", "test error", "stated"], [_cells(check) for check in checks])
    if not all(check.passed for check in checks):
        console.complain(f"{sum(not check.passed for check in checks)} of {len(checks)} files are not as they were exported")
        raise typer.Exit(1)


def _cells(check: "BundleCheck") -> list[str]:
    test = check.test
    return [
        check.file.name,
        "ok" if check.passed else check.problem or "",
        "" if check.file.difference is None else f"{check.file.difference:.1e}",
        "" if test is None else f"{test.error:.2%}",
        "" if test is None or test.stated is None else f"{test.stated:.2%}",
    ]
