"""The hwnas command as a user types it, run by benchmarks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HWNAS = Path(sys.executable).with_name("hwnas")  # the one installed for this interpreter


def hwnas(*arguments: str) -> list[str]:
    """The command line of hwnas with ``arguments``."""
    return [str(HWNAS), *arguments]


def front(folder: Path) -> list[dict[str, Any]]:
    """The front of a run, as ``hwnas front --format json`` prints it."""
    return _printed("front", str(folder), "--format", "json")


def candidates(folder: Path) -> list[dict[str, Any]]:
    """Every candidate of a run, as ``hwnas front --all --format json`` prints them."""
    return _printed("front", str(folder), "--all", "--format", "json")


def _printed(*arguments: str) -> list[dict[str, Any]]:
    answer = subprocess.run(hwnas(*arguments), check=True, stdout=subprocess.PIPE, text=True)
    printed: list[dict[str, Any]] = json.loads(answer.stdout)
    return printed
