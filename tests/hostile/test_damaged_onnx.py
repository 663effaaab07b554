"""Every damaged file that the fault engine refuses meets the other readers of foreign files: it is taken, or one ModelError."""

import math
from contextlib import suppress
from pathlib import Path

import pytest

from hwnas.device.model import input_specs, random_feeds, read_model
from hwnas.errors import ModelError
from hwnas.importing import NetworkSource, network_of
from tests.onnxfiles.test_hostile_files import HOSTILE

HARMLESS = 2**24  # values: a larger image is left to the process that tries a file before it is measured


@pytest.fixture
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "hostile.onnx"
    path.write_bytes(HOSTILE[request.param]().SerializeToString())
    return path


@pytest.mark.parametrize("file", HOSTILE, indirect=True)
def test_what_is_measured_is_read_or_refused(file: Path) -> None:
    with suppress(ModelError):
        specs = input_specs(read_model(file), {"n": 1})
        if all(math.prod(spec.shape) <= HARMLESS for spec in specs):
            random_feeds(specs)


@pytest.mark.parametrize("file", HOSTILE, indirect=True)
def test_what_a_search_starts_from_is_refused(file: Path) -> None:
    with pytest.raises(ModelError):
        network_of(NetworkSource(given=file), channels=2, height=6, width=6)
