"""Every verb of the Python API is in the reference and has an example whose calls are as the functions take them."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import hwnas
from hwnas import api
from hwnas.api.search_options import SearchOptions
from hwnas.campaign.settings import FaultOptions

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
VERBS = {name: getattr(hwnas, name) for name in hwnas.__all__ if name not in ("Run", "__version__")}
VERBS |= {f"api.{name}": getattr(api, name) for name in ("configured", "default_config", "new_profile")}
METHODS = (
    "rows", "front", "resume", "train", "pick", "model", "onnx", "frame", "bands", "export", "faults", "report", "watch", "track",
    "pictures",
)  # fmt: skip
OF_ONES_OWN = ("register_op", "register_compute")  # their pages have whole programs
DOCUMENTED = {f"hwnas.{name}": verb for name, verb in VERBS.items() if name not in OF_ONES_OWN}
DOCUMENTED |= {f"run.{name}": getattr(hwnas.Run, name) for name in METHODS}


def calls(name: str) -> list[ast.Call]:
    """The calls of hwnas in the example of a function."""
    match = re.search(r"Example: ``(.+?)``", inspect.getdoc(DOCUMENTED[name]) or "", re.S)
    assert match, f"{name} has no example"
    nodes = ast.walk(ast.parse(match[1]))
    return [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) in DOCUMENTED]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_verb_has_an_example_that_can_be_called(name: str) -> None:
    found = calls(name)
    assert name in {ast.unparse(call.func) for call in found}
    for call in found:
        function: Any = DOCUMENTED[ast.unparse(call.func)]
        first = [None] if ast.unparse(call.func).startswith("run.") else []
        named = {keyword.arg or "": None for keyword in call.keywords}
        bound = inspect.signature(function).bind(*first, *call.args, **named)
        options = {"options": SearchOptions, "settings": FaultOptions}
        for rest, typed in options.items():
            assert set(bound.arguments.get(rest, {})) <= set(typed.__annotations__)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_in_the_reference(name: str) -> None:
    verb = name.removeprefix("api.")
    assert re.search(rf"^::: hwnas\.(\w+\.)*{verb}$", PAGE, re.M), name


def test_the_methods_that_are_tested_are_those_that_do_something() -> None:
    says = {"predictor_error", "why_empty", "why_of_no_use", "too_short", "lost", "ended"}  # a sentence each
    assert {name for name in vars(hwnas.Run) if not name.startswith("_")} == {*METHODS, *says}
