"""A run as experiment trackers keep it: MLflow, TensorBoard, Optuna. They are written to, never by the search itself.

Each tracker is a file of its own, imported by its name, with a function ``write(record, ..)`` that gives a ``Tracked``. It may be
called again at any time: what is there already stays, and only what is new is added.
"""

from hwnas.tracking.record import Generation, RunRecord, Tracked, record_of

__all__ = ["Generation", "RunRecord", "Tracked", "record_of"]
