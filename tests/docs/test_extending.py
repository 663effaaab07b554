"""The examples of docs/extending.md keep the promises that hwnas.testing checks, as they stand there."""

import importlib
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwnas.device import load_profile
from hwnas.graph import OPS
from hwnas.graph.ops import registry
from hwnas.morphism import operators_named
from hwnas.network import compute
from hwnas.objectives import sources_named
from hwnas.search import strategy_of

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
EXAMPLE = re.compile(r"^```(?:python|toml)\n# (\S+\.(?:py|toml))\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """The example files; what they register is forgotten, and so are they."""
    found = {name: tmp_path / name for name, _ in EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))}
    for name, text in EXAMPLE.findall(PAGE.read_text(encoding="utf-8")):
        found[name].write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield found
    for kind in [each for each in compute._REGISTERED if each.__module__ == "operations_of_mine"]:
        compute._REGISTERED.pop(kind)
        registry._REGISTERED.pop(kind.kind)
    for name in found:
        sys.modules.pop(Path(name).stem, None)


def test_the_parts_are_taken_by_their_names(files: dict[str, Path]) -> None:
    sources = sources_named(["error", "objectives_of_mine:Depth", "objectives_of_mine:LargestWeight"])
    assert [source.objective.name for source in sources] == ["error", "depth", "largest_weight"]
    assert [operator.name for operator in operators_named(["widen", "operators_of_mine:Swish"])] == ["widen", "swish"]
    assert strategy_of({"name": "strategies_of_mine:Elite", "best": 3}).children == 8
    importlib.import_module("operations_of_mine")
    assert "my_double" in OPS


@pytest.mark.slow
def test_the_parts_keep_their_promises(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(files["check_mine.py"]), run_name="__main__")
    assert "all promises are kept" in capsys.readouterr().out


def test_the_accelerator_is_a_profile(files: dict[str, Path]) -> None:
    assert load_profile(str(files["accelerator_of_mine.toml"])).number("clock", "Hz") == 300e6
