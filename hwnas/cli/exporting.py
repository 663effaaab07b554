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
    out: Annotated[Path, typer.Option(help="Export folder: new, or one that files are added to.", show_default=False)],
    models: Annotated[str, typer.Option(metavar="front|ID,..", help="Which models.")] = "front",
    precision: Annotated[str, typer.Option(metavar="P,..", help="float32, float16, int8.")] = "float32",
    guard: Annotated[
        bool, typer.Option("--guard", help="Also files that are clipped against bit flips; some per cent slower.")
    ] = False,
    guard_top: Annotated[
        int | None,
        typer.Option(metavar="K", help="--guard for the K feature maps alone where flips are expected to do most harm."),
    ] = None,
    checksums: Annotated[
        bool, typer.Option("--checksums", help="Also float32 files with an output that tells of flipped weights; slower.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Delete what the export folder holds.")] = False,
    verbose: Verbose = False,
) -> None:
    """Write models as ONNX files with a card each, all checked against the trained networks before they land in the folder."""
    from hwnas import api

    chosen = models if models == "front" else named(models)
    manifest = api.open_run(folder).export(
        out,
        models=chosen,
        precisions=named(precision),
        guard=guard,
        guard_top=guard_top,
        checksums=checksums,
        replace=replace,
    )
    console.show_table(*api.exported_table(manifest))
    for line in api.checksum_lines(manifest):
        console.note(line)
    count = len(manifest.files)
    console.note(
        f"\n{count} {'file' if count == 1 else 'files'} in {out}, all checked; README.md there says what to feed them. Try one:\n"
        f"  python {quoted(out / 'classify.py')} {quoted(out / manifest.files[0].name)} photo.jpg\n  hwnas verify {quoted(out)}"
    )


def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder that hwnas export wrote.", show_default=False)],
    data: Annotated[str | None, typer.Option(metavar="PATH", help="The data, to compute the test errors again.")] = None,
    device: Annotated[str, typer.Option(metavar="NAME|PATH.toml", help="The device that computes it.")] = "local-cpu",
    verbose: Verbose = False,
) -> None:
    """Check an export folder: no file was changed, each gives the answers that it gave, and the test error it states (--data)."""
    from hwnas import api

    checks = api.verify(bundle, data, device=device)
    console.show_table(
        ["file", "result", "largest difference of an output", "test error", "stated"], [_cells(check) for check in checks]
    )
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
