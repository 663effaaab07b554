"""What a script gives to the API is checked as what is typed is: a value of another type is one message, RequestError."""

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, ParamSpec, TypeVar

from hwnas.errors import RequestError

P = ParamSpec("P")
R = TypeVar("R")

PATH = str | os.PathLike  # type: ignore[type-arg]  # isinstance takes no parameters
NUMBER = int | float
WORDS: Mapping[Any, str] = {
    PATH: "a path",
    str: "a text",
    bool: "True or False",
    int: "a whole number",
    NUMBER: "a number",
    Sequence: "a sequence",
    Mapping: "a mapping",
    str | NUMBER: "a text or a number",
    str | Sequence: "a text or a sequence",
}


def checked(**kinds: type | UnionType) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function whose arguments of these names are of these types, or what they are by default (None, mostly).

    Raises RequestError for another, and for a path or text with a NUL, which no file system takes.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def called(*arguments: P.args, **named: P.kwargs) -> R:
            given = signature.bind(*arguments, **named).arguments
            for name, kind in kinds.items():
                if name in given and given[name] is not signature.parameters[name].default:
                    _check(f"{function.__name__}: {name}", given[name], kind)
            return function(*arguments, **named)

        return called

    return decorated


def _check(where: str, value: object, kind: type | UnionType) -> None:
    is_other = not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, NUMBER, str | NUMBER))
    if is_other or (isinstance(value, bytes) and kind is not bytes):
        raise RequestError(f"{where} must be {WORDS[kind]}, got {value!r}")
    if isinstance(value, str | os.PathLike) and "\0" in os.fspath(value):
        raise RequestError(f"{where} must not hold a NUL, got {value!r}")
