from pathlib import Path
from typing import Any

import pytest

from hwnas.data import DataSet, DataSettings, load
from tests.data.samples import Loader

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture
def load_from(tmp_path: Path) -> Loader:
    """Load with a cache of the test's own: `load_from(source, **settings)`."""

    def load_one(source: object, progress: Any = None, **settings: Any) -> DataSet:
        settings = {"cache_folder": tmp_path / "cache"} | settings
        return load(DataSettings(source=str(source), **settings), progress)

    return load_one


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real data sets are not on this machine ({SHARED})")
    return SHARED
