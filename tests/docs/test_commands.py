"""Every command in README.md and in the pages of docs/ exists, with the options and values that it is given there."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from hwnas.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
INLINE = re.compile(r"`(hwnas [^`\n]+)`")
STARTS = ("hwnas ", "python -m hwnas ")
UsageError: Any = typer.BadParameter.__base__  # that of the click which typer uses


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A command as a page shows it; ``whole`` where it stands in a block, so that a reader copies it as it is."""

    page: str
    text: str
    whole: bool

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def shown(path: Path) -> Iterator[Shown]:
    text = path.read_text(encoding="utf-8")
    blocks = [match["text"] for match in BLOCK.finditer(text) if match["kind"] in ("", "bash", "sh")]
    rest = BLOCK.sub("", text)
    blocks.append("\n".join(line[4:] for line in rest.splitlines() if line.startswith("    hwnas ")))
    for line in "\n".join(blocks).splitlines():
        for part in re.split(r"\s&&\s", line.split("  #")[0]):
            if part.startswith(STARTS) and not part.endswith("[OPTIONS]"):  # the usage lines of docs/commands.md
                yield Shown(page=path.name, text=part.strip(), whole=True)
    for match in INLINE.finditer(" ".join(rest.split("\n"))):
        if not re.search(r"\.\.|\|", match[1]):  # abbreviated
            yield Shown(page=path.name, text=match[1], whole=False)


COMMANDS = [command for path in PAGES for command in shown(path)]


def words_of(text: str) -> list[str]:
    """The words behind ``hwnas``, as a shell splits them, without what goes to a file or another program."""
    words = shlex.split(re.split(r"\s[|>]\s", text)[0])
    return words[words.index("hwnas") + 1 :]


def parse(words: list[str]) -> Any:
    """Parse as the command would, without running anything; raises what click does."""
    group: Any = typer.main.get_command(app)
    with group.make_context("hwnas", list(words)) as context:
        name, command, rest = group.resolve_command(context, list(words))
        return command.make_context(name, rest, parent=context)


def refused(command: Shown) -> str | None:
    """Why the command would be refused; None where it would not. A command within a sentence may leave its arguments out."""
    try:
        parse(words_of(command.text))
    except UsageError as error:
        if type(error).__name__ == "MissingParameter" and not command.whole:
            return None
        return f"{type(error).__name__}: {getattr(error, 'message', error)}"
    return None


def test_there_are_commands_on_every_page_that_should_have_some() -> None:
    pages = {command.page for command in COMMANDS if command.whole}
    guides = {"index.md", "your-own-data.md", "your-own-device.md", "your-own-network.md", "train-to-the-end.md"}
    assert {"README.md", "commands.md", "choosing-and-shipping.md", "resilience.md", "faq.md"} | guides <= pages
    assert len(COMMANDS) > 100


@pytest.mark.parametrize("page", [path.name for path in PAGES])
def test_every_command_of_a_page_parses(page: str) -> None:
    wrong = {str(command): refused(command) for command in COMMANDS if command.page == page}
    assert {command: why for command, why in wrong.items() if why is not None} == {}


@pytest.mark.parametrize(
    "text",
    ["hwnas serch", "hwnas search --time 3m", "hwnas front", "hwnas export runs/x", "hwnas search --seed many", "hwnas pick a b"],
)
def test_what_is_wrong_is_found(text: str) -> None:
    assert refused(Shown(page="here", text=text, whole=True)) is not None
