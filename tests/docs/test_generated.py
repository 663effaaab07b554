"""The references that docs/generate.py writes are those that are committed, and leave nothing out."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generator()


@pytest.mark.parametrize("name", GENERATE.PAGES)
def test_a_page_is_what_the_script_gives(name: str) -> None:
    committed = (DOCS / name).read_text(encoding="utf-8")
    assert committed == GENERATE.PAGES[name](), "run: python docs/generate.py"


def test_a_key_without_a_meaning_and_a_meaning_without_a_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    meanings = GENERATE.Meanings()
    with pytest.raises(GENERATE.MeaningError, match=r"\[budget\] does not say what patience means"):
        meanings.of("budget", "patience")
    with pytest.raises(GENERATE.MeaningError, match=r"is no key: .*run\.seed"):
        meanings.refuse_stale()


def test_every_option_of_the_search_is_listed() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8").split("## hwnas search")[1].split("\n## ")[0]
    for option in ("--config RUN.toml", "--stop-early", "--no-rungs", "--max-latency-ms X", "--start MODEL", "--async"):
        assert f"`{option}`" in page
