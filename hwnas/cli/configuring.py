"""``hwnas config``."""

from typing import Annotated

import typer

from hwnas.cli import console
from hwnas.errors import ConfigError


def config(
    default: Annotated[bool, typer.Option("--default", help="Every key of run.toml with its default and what it means.")] = False,
) -> None:
    """Print a run.toml to begin with."""
    from hwnas import api

    if not default:
        raise ConfigError("say what to print: hwnas config --default > run.toml")
    console.emit(api.default_config().rstrip("\n"))
