"""hwnas: multi-objective, hardware-aware neural architecture search by network morphisms.

Importing this package imports nothing but its version; its public names load on first use, so that a command which only
reads a run never pays for torch.

It also turns ONNX Runtime's telemetry off, unless the user has set ``ORT_DISABLE_TELEMETRY``: every import of onnxruntime in this
package comes after this file, and processes that are started from here inherit the variable.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from hwnas.version import __version__

if TYPE_CHECKING:
    from hwnas.api import Run, compare, data_card, devices, ensemble, faults, inspect, measure, open_run, start, verify
    from hwnas.graph.ops import register_op
    from hwnas.network import register_compute

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "Run",
    "__version__",
    "compare",
    "data_card",
    "devices",
    "ensemble",
    "faults",
    "inspect",
    "measure",
    "open_run",
    "register_compute",
    "register_op",
    "start",
    "verify",
]
_MODULES = {
    "Run": "hwnas.api",
    "compare": "hwnas.api",
    "data_card": "hwnas.api",
    "devices": "hwnas.api",
    "ensemble": "hwnas.api",
    "faults": "hwnas.api",
    "inspect": "hwnas.api",
    "measure": "hwnas.api",
    "verify": "hwnas.api",
    "open_run": "hwnas.api",
    "start": "hwnas.api",
    "register_op": "hwnas.graph.ops",
    "register_compute": "hwnas.network",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'hwnas' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__  # what completes, without loading it
