"""Where in the user's own source an operation was called, as torch.export notes it."""

import re
from pathlib import Path

import torch
from torch import fx

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>[^\n]+)\n\s*(?P<code>[^\n]*)')
_TORCH = str(Path(torch.__file__).parent)


def source_line(node: fx.Node) -> str:
    """Such as ``net.py:12, in forward: y = x.cumsum(1)``; empty where torch kept no line.

    The innermost line outside of torch itself: what torch's own layers do inside is not the user's to change.
    """
    frames = list(_FRAME.finditer(str(node.meta.get("stack_trace") or "")))
    own = [frame for frame in frames if not frame["file"].startswith(_TORCH)]
    if not frames:
        return ""
    frame = (own or frames)[-1]
    return f"{Path(frame['file']).name}:{frame['line']}, in {frame['function'].strip()}: {frame['code'].strip()}"
