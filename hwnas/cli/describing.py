"""``hwnas data``."""

from typing import Annotated, Any

import typer

from hwnas.cli import console
from hwnas.cli.options import FitOption, GroupBy, ImageSize, Metric, ValidationOption, Verbose


def data(
    path: Annotated[str, typer.Argument(help='Parquet or image folder, or "digits".', show_default=False)],
    image_size: ImageSize = None,
    fit: FitOption = None,
    group_by: GroupBy = None,
    validation: ValidationOption = None,
    metric: Metric = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    verbose: Verbose = False,
) -> None:
    """Say what a data set holds, how it is split, what is done to each image, and what is doubtful about it."""
    from hwnas import api

    options: dict[str, Any] = {"image_size": image_size, "fit": fit, "group_by": group_by, "validation": validation}
    options["metric"] = metric
    card = api.data_card(data=path, **options)
    if as_json:
        console.emit_json(card.to_json())
        return
    for line in card.lines():
        console.emit(line)
    console.emit("")
    rows = [[each.name, f"{each.train:,}", f"{each.validation:,}", f"{each.test:,}"] for each in card.classes]
    console.show_table(["class", "training", "validation", "test"], rows)
