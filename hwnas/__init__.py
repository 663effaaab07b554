"""hwnas: multi-objective, hardware-aware neural architecture search by network morphisms.

Importing this package imports nothing else; its public names load on first use, so that a command which only
reads a run never pays for torch.

It also turns ONNX Runtime's telemetry off, unless the user has set ``ORT_DISABLE_TELEMETRY``: every import of onnxruntime in this
package comes after this file, and processes that are started from here inherit the variable.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwnas.api import Run, open_run, start

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "open_run", "start"]


def __getattr__(name: str) -> Any:
    if name in {"Run", "open_run", "start"}:
        import hwnas.api

        return getattr(hwnas.api, name)
    raise AttributeError(f"module 'hwnas' has no attribute {name!r}; it has {', '.join(__all__)}")
