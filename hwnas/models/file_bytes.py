"""One checked ONNX file of a run's network, as bytes."""

import tempfile
from pathlib import Path

from hwnas.models.exporting import export_models
from hwnas.store import Row, RunStore


def onnx_bytes(store: RunStore, row: Row, precision: str) -> bytes:
    """The file that ``export_models`` would write, checked as it checks it. Raises as that does."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle"
        manifest = export_models(store, [row], bundle, precisions=[precision])
        (name,) = (file.name for file in manifest.files if file.precision == precision)
        return (bundle / name).read_bytes()
