"""Every key that the code cites resolves to a reference, and every reference is cited."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEY = re.compile(r"\[([A-Z][A-Za-z]+(?:19|20)\d{2}[a-z]?)[\],]")


def cited() -> dict[str, str]:
    """The keys in the code's docstrings and comments and in the guides, each with one place."""
    found: dict[str, str] = {}
    guides = (path for path in (ROOT / "docs").glob("*.md") if path.name != "references.md")
    for path in [*sorted((ROOT / "hwnas").rglob("*.py")), *sorted(guides)]:
        for key in KEY.findall(path.read_text(encoding="utf-8")):
            found.setdefault(key, str(path.relative_to(ROOT)))
    return found


def listed() -> list[str]:
    text = (ROOT / "docs" / "references.md").read_text(encoding="utf-8")
    return re.findall(r"^- \[(\w+)\] ", text, re.M)


def test_every_key_resolves() -> None:
    known = set(listed())
    assert cited()
    assert {key: place for key, place in cited().items() if key not in known} == {}


def test_every_reference_is_cited_once_listed_and_in_order() -> None:
    keys = listed()
    assert sorted(set(keys), key=str.lower) == sorted(keys, key=str.lower)
    assert set(keys) <= set(cited())


def test_the_design_names_every_folder() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    folders = [path.parent.name for path in (ROOT / "hwnas").glob("*/__init__.py")]
    assert [name for name in folders if f"| `{name}/` |" not in page] == []
