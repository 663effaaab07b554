"""``hwnas import``."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli import console
from hwnas.cli.options import NormalisationOption, Replace, ValidationOption, Verbose, WeightsOption


def import_(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="PACKAGE.MODULE:FACTORY, MODEL.onnx, MODEL.pt2 (torch.export.save) or timm:NAME.",
            show_default=False,
        ),
    ],
    weights: WeightsOption = None,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="Data that it is tried on: parquet or image folder.")] = None,
    image_size: Annotated[str | None, typer.Option(metavar="HxW", help="Size of its images, where nothing else says so.")] = None,
    normalisation: NormalisationOption = None,
    validation: ValidationOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="F", help="Write all of it as JSON.")] = None,
    replace: Replace = False,
    verbose: Verbose = False,
) -> None:
    """Say what a search would take of your network, without searching: what it costs, what can be pruned, and that it computes
    the same as the original.

    A network that cannot be taken is refused with the line of your source and what to do.
    """
    from hwnas import api

    reads = [Path(each) for each in (model, weights) if each is not None and Path(each).is_file()]
    output = None if json_file is None else api.Output(path=json_file, kind=api.IMPORTED, reads=reads, replace=replace)
    if output is not None:
        output.refuse_unwritable()
    found = api.inspect(
        model, weights=weights, data=data, image_size=image_size, normalisation=normalisation, validation=validation
    )
    if output is not None:
        output.write_json(api.inspected_json(found))
    console.show_facts(api.inspected_facts(found))
    if found.pinned:
        rows = [[each.name or f"node {each.node}", each.kind, each.why] for each in found.pinned]
        console.emit("\nLayers that keep their number of channels:")
        console.show_table(["layer", "kind", "why"], rows)
