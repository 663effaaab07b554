"""A user's own objectives, operators and strategy, passed from Python, as a configuration names them."""

from collections.abc import Mapping
from typing import Any

from hwnas.search import table_of
from hwnas.settings.reference import reference_of


def by_name(options: Mapping[str, object]) -> dict[str, Any]:
    """The options with every object in ``objectives``, ``operators`` and ``strategy`` named, so that a resume finds it again.

    Raises RequestError for what a later process could not find.
    """
    named: dict[str, Any] = dict(options)
    for option in ("objectives", "operators"):
        given = named.get(option)
        if given is not None and not isinstance(given, str):
            named[option] = tuple(each if isinstance(each, str) else reference_of(each) for each in given)
    strategy = named.get("strategy")
    if strategy is not None and not isinstance(strategy, str | Mapping):
        named["strategy"] = table_of(strategy)
    return named
