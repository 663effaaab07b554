"""Small data sets in real formats, written by the tests that read them."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

from hwnas.data import DataSet

Loader = Callable[..., DataSet]


def encode(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """Return uint8 or uint16 pixels (H, W) or (H, W, C) as an encoded image."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def noise(count: int, height: int = 10, width: int = 6) -> list[dict[str, Any]]:
    """Return `count` random RGB images as parquet rows; frame i belongs to track i // 5."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return [{"bytes": encode(image), "path": f"t{i // 5:03}_{i % 5}.png"} for i, image in enumerate(pixels)]


def write_parquet(path: Path, images: Sequence[Any], labels: Sequence[Any] | None, **columns: Sequence[Any]) -> Path:
    """Write a parquet file without any metadata and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labelled = {} if labels is None else {"label": list(labels)}
    pyarrow.parquet.write_table(pyarrow.table({"image": list(images)} | labelled | columns), path)
    return path


def write_folder(root: Path, classes: Sequence[str], count: int = 12) -> Path:
    """Write an image folder of `count` images a class and return its path."""
    for name in classes:
        (root / name).mkdir(parents=True)
        for number, row in enumerate(noise(count)):
            (root / name / f"{number}.png").write_bytes(row["bytes"])
    return root
