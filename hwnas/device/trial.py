"""Foreign ONNX files are loaded and run once in a process of their own before this one does: there a crash is a message.

A file can end the process that runs it by a signal, keep it for ever or take all memory, and no Ctrl-C reaches ONNX Runtime. What
hwnas itself wrote a moment ago needs no trial.
"""

import signal
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from hwnas.device.trial_process import TOO_LARGE
from hwnas.errors import ModelError

SCRIPT = Path(__file__).with_name("trial_process.py")
LIMIT_S = 60  # for loading and one run of each file
GRACE_S = 30  # for starting the process
LEAST_BYTES = 2 << 30
MEMORY_SHARE = 0.8  # of what is free


def try_apart(models: Mapping[str, bytes]) -> None:
    """Load and run files, by their names, in a process of their own.

    Raises ModelError, naming the file, where that dies, takes longer than ``LIMIT_S`` or more memory than is free.
    """
    size = max(LEAST_BYTES, int(MEMORY_SHARE * psutil.virtual_memory().available))
    command = [sys.executable, "-P", str(SCRIPT), str(LIMIT_S), str(size)]
    content = b"".join(struct.pack("<q", len(model)) + model for model in models.values())
    limit_s = LIMIT_S * len(models) + GRACE_S
    try:
        done = subprocess.run(
            command, input=content, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise _too_long(", ".join(models)) from None
    if done.returncode == 0:
        return
    name = list(models)[min(done.stdout.count(b"\n"), len(models) - 1)]
    if done.returncode == TOO_LARGE:
        raise ModelError(f"{name} wants more memory than the {size / 1e9:.0f} GB that it may have here; it is not run")
    if done.returncode == -signal.SIGALRM:
        raise _too_long(name)
    if done.returncode < 0:
        raise ModelError(
            f"{name} ends the process that runs it ({signal.Signals(-done.returncode).name}): it is damaged, or made to do so; "
            "it was tried in a process of its own, and is not run in this one"
        )
    raise ModelError(f"{name} could not be tried: {' '.join(command[:3])} ended with exit code {done.returncode}")


def _too_long(name: str) -> ModelError:
    return ModelError(f"{name} did not load and answer one input within {LIMIT_S} s; it was stopped, and is not run")
