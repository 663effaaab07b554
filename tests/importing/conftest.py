"""timm, also where torchvision cannot be imported."""

import importlib.util
from types import ModuleType

import pytest

from tests.importing.torchvision_names import import_timm


@pytest.fixture(scope="session")
def timm() -> ModuleType:
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    return import_timm()
