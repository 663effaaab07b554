"""What a run reads back of itself is checked: damage is told with its place, whatever the damage is."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hwnas.api import open_run
from hwnas.errors import StoreError
from hwnas.experiment import Ended, resume

SHAPELESS = ("", "null", "[[]]", '"x"', "{}")


def damaged(whole: Path, folder: Path, statement: str, text: str) -> Path:
    shutil.copytree(whole, folder)
    with closing(sqlite3.connect(folder / "run.sqlite")) as connection, connection:
        assert connection.execute(statement, [text]).rowcount == 1
    return folder


@pytest.mark.parametrize("text", SHAPELESS[:-1])
@pytest.mark.parametrize("name", ["budget", "definitions", "images_per_child", "initial", "profile", "trainer", "used_s"])
def test_a_damaged_fact_of_a_run_is_named(first_run: tuple[Path, Ended], tmp_path: Path, name: str, text: str) -> None:
    folder = damaged(first_run[0], tmp_path / "run", f"UPDATE meta SET value = ? WHERE name = '{name}'", text)
    with pytest.raises(StoreError, match=f"meta {name} is damaged"):
        resume(folder)


@pytest.mark.parametrize("text", SHAPELESS)
def test_a_damaged_event_is_named(first_run: tuple[Path, Ended], tmp_path: Path, text: str) -> None:
    folder = damaged(first_run[0], tmp_path / "run", "UPDATE events SET payload = ? WHERE kind = 'ended'", text)
    with pytest.raises(StoreError, match=r"event \d+ is damaged"):
        open_run(folder).ended()
