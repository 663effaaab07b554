"""What a user brings, by name: ``package.module:attribute``, which a resumed run and its workers import again."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from hwnas.errors import RequestError

SEPARATOR = ":"


def is_reference(name: str) -> bool:
    """Whether a name is a reference, not one of hwnas's own names."""
    return SEPARATOR in name


def import_module(name: str, wanted_for: str) -> ModuleType:
    """The module of this name; ``wanted_for`` says what wants it. Raises RequestError where it cannot be imported."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # a user's module may raise anything
        raise RequestError(
            f"the module {name}, wanted for {wanted_for}, cannot be imported ({type(error).__name__}: {error}); "
            "install it, or put the folder that it lies in on PYTHONPATH"
        ) from error


def import_modules(names: Sequence[str]) -> None:
    """Import what the configuration names under ``imports``, such as modules that register operations. Raises RequestError."""
    for name in names:
        import_module(name, "imports")


def resolve(reference: str) -> Any:
    """The object that ``package.module:attribute`` names; of a class an object that is made without arguments.

    Raises RequestError where there is none.
    """
    module, _, path = reference.partition(SEPARATOR)
    if not module or not path:
        raise RequestError(f"a reference is package.module:attribute, got {reference!r}")
    found: Any = import_module(module, reference)
    for name in path.split("."):
        if name not in dir(found):
            raise RequestError(f"{module} has no {path}, which is wanted for {reference}; bring it back, or start a new run")
        found = getattr(found, name)
    if not isinstance(found, type):
        return found
    try:
        return found()
    except Exception as error:  # a user's class may raise anything
        raise RequestError(f"{reference} cannot be made without arguments ({type(error).__name__}: {error})") from error


def class_of(reference: str) -> type:
    """The class that ``package.module:attribute`` names. Raises RequestError where there is none."""
    module, _, path = reference.partition(SEPARATOR)
    found: Any = import_module(module, reference)
    for name in path.split("."):
        found = getattr(found, name, None)
    if not isinstance(found, type):
        raise RequestError(f"{reference} must name a class, and it names {found!r}")
    return found


def reference_of(thing: object) -> str:
    """The reference of an object: the name that its class's module gives it, else its class, where that makes an equal object.

    Raises RequestError where a later process could not find it.
    """
    kind = type(thing)
    module = sys.modules[kind.__module__]
    named = next((name for name, value in vars(module).items() if value is thing), None)
    reference = f"{kind.__module__}{SEPARATOR}{named or kind.__qualname__}"
    advice = "define its class in a module that can be imported, and where it takes arguments give the object a name there"
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        raise RequestError(f"a resumed run could not find {thing!r} ({reference}) again: {advice}")
    if named is None and vars_of(resolve(reference)) != vars_of(thing):
        raise RequestError(f"{kind.__qualname__}() without arguments is not the object that was given, {thing!r}: {advice}")
    return reference


def versions(things: Mapping[str, object]) -> dict[str, int]:
    """The ``version`` of each thing that is known by a reference, by that: what its class says, 1 where it does not."""
    return {name: int(getattr(thing, "version", 1)) for name, thing in things.items() if is_reference(name)}


def vars_of(thing: object) -> dict[str, object]:
    """What an object holds, by name: of a slotted class, too."""
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(thing, name) for name in slots if name in dir(thing)} | getattr(thing, "__dict__", {})
