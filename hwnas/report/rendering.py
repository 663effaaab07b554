"""Templates, the page's own style and scripts, and plotly's, as one HTML text; whatever a run says is escaped."""

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

_FOLDER = "templates"


def rendered(template: str, *, data: object, **values: Any) -> str:
    """A template of this folder with these values; ``data`` is what its scripts read, as JSON."""
    return (
        _environment().get_template(template).render(**values, data=embedded(data), asset=_asset, plotly=Markup(get_plotlyjs()))
    )


def embedded(data: object) -> Markup:
    """Data as JSON that ends no script element and begins none, whatever texts it holds."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("hwnas.report", _FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> Markup:
    """A style sheet or script of ours, as it is."""
    return Markup((files("hwnas.report") / _FOLDER / name).read_text(encoding="utf-8"))
