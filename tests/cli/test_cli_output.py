"""What the commands print, wherever it goes: narrow terminals, full disks, names that are no text."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwnas.cli.console import show_table
from tests.cli.test_cli import invoke
from tests.conftest import TINY, Made, hwnas


def test_a_terminal_that_is_too_narrow_breaks_no_number(tiny_run: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = invoke("front", tiny_run.folder).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, as far as rich knows
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "40")
    assert invoke("front", tiny_run.folder).stdout.split() == wide.split()


def test_cells_of_many_columns_are_broken_between_words_alone(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    show_table(["model", *["int8 top"] * 9], [["g10-11", *["-0.0711 [-11.4, 13.26]"] * 9]])
    assert set(capsys.readouterr().out.split()) == {"model", "int8", "top", "g10-11", "-0.0711", "[-11.4,", "13.26]"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are text")
def test_a_folder_whose_name_is_no_utf_8(tiny_run: Made, tmp_path: Path) -> None:
    name = os.fsdecode(b"run \xff")
    shutil.copytree(tiny_run.folder, tmp_path / name)
    done = hwnas("report", name, cwd=tmp_path, errors="surrogateescape")
    assert (done.returncode, done.stdout) == (0, f"{name}/report.html\n"), done.stderr
    done = hwnas("export", name, "--out", "bundle", "--models", "g0-0, g0-1", cwd=tmp_path)
    assert (done.returncode, len(list((tmp_path / "bundle").glob("*.onnx")))) == (0, 2), done.stderr
    assert b"run \\udcff" in (tmp_path / name / "report.html").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="only there is a device that is full")
def test_what_stdout_cannot_take_is_no_bug(tiny_run: Made) -> None:
    command = [sys.executable, "-c", "from hwnas.cli import main; main()", "front", tiny_run.folder]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: No space left on device")
    program = (
        "from unittest.mock import patch; from hwnas.cli import console; from hwnas.cli import main\n"
        "def front(*_, **__): console.emit('1.0 \\u00b1 0.1')\n"
        "with patch.object(console, 'show_entries', front): main()"
    )
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program, "front", tiny_run.folder], capture_output=True, env=env, check=False)
    assert (done.returncode, done.stdout) == (0, b"1.0 ? 0.1\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only there is a device that is full")
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["search", "--help"]], ids=" ".join)
def test_what_stdout_cannot_take_of_help_is_no_bug(words: list[str]) -> None:
    command = [sys.executable, "-c", "from hwnas.cli import main; main()", *words]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: No space left on device")


SEARCH = [sys.executable, "-c", "from hwnas.cli import main; main()", "search", "--config", "tiny.toml", "--generations", "1"]


@pytest.mark.skipif(sys.platform != "linux", reason="only there is a device that is full")
@pytest.mark.parametrize("reader", ["full", "gone"])
def test_a_search_outlives_whoever_reads_its_progress(tmp_path: Path, reader: str) -> None:
    (tmp_path / "tiny.toml").write_text(TINY.replace("640", "64"))
    command = [*SEARCH, "--workers", "0", "--out", "run"]
    if reader == "full":
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(command, stderr=full, stdout=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
        code, found = done.returncode, done.stdout
    else:
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as begun:
            assert begun.stderr is not None
            assert begun.stdout is not None
            begun.stderr.close()
            found = begun.stdout.read()
        code = begun.returncode
    assert (code, "g0-0" in found) == (0, True)


def test_ctrl_c_while_an_extension_is_imported_is_a_ctrl_c() -> None:
    """pybind11 makes an ImportError of the KeyboardInterrupt that comes while a module of its own is imported."""
    program = (
        "from unittest.mock import patch; from hwnas.cli import main\n"
        "def interrupted(**_):\n"
        "    try: raise KeyboardInterrupt\n"
        "    except KeyboardInterrupt as error: raise ImportError('initialization failed') from error\n"
        "with patch('hwnas.cli.application.app', interrupted): main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.slow
def test_ctrl_c_at_any_moment_is_no_bug(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    for tenth in range(1, 30):
        command = [sys.executable, "-c", "from hwnas.cli import main; main()", "measure", "m.onnx"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as begun:
            time.sleep(tenth / 10)
            begun.send_signal(signal.SIGINT)
            assert begun.stderr is not None
            said = begun.stderr.read()
        assert "bug in hwnas" not in said
