"""Models of timm by their names."""

import importlib
from types import ModuleType

import pytest

from hwnas.errors import ModelError
from hwnas.importing import NetworkSource, network_of
from hwnas.settings import IMAGENET


def test_a_mobilenet_v3_is_taken_with_its_normalisation(timm: ModuleType) -> None:
    taken = network_of(NetworkSource(given="timm:mobilenetv3_small_050"), channels=3, height=64, width=64, classes=43)
    assert taken.is_new
    assert taken.graph.classes == 43
    assert taken.normalisation == (IMAGENET[:3], IMAGENET[3:])
    kinds = {node.op.kind for node in taken.graph}
    assert {"hard_swish", "hard_sigmoid", "multiply"} <= kinds


def test_a_name_that_is_not_there_names_the_nearest(timm: ModuleType) -> None:
    with pytest.raises(ModelError, match="mobilenetv3_small_100"):
        network_of(NetworkSource(given="timm:mobilenetv3_smal_100"), channels=3, height=64, width=64)


@pytest.mark.parametrize(
    ("raised", "advice"),
    [
        (RuntimeError("operator torchvision::nms does not exist"), "torchvision that belongs to torch"),
        (ModuleNotFoundError("No module named 'torchvision'", name="torchvision"), "pip install torchvision"),
    ],
)
def test_a_timm_that_cannot_be_imported_is_refused_with_what_to_do(
    raised: Exception, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> ModuleType:
        raise raised

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ModelError, match=advice):
        network_of(NetworkSource(given="timm:resnet18"), channels=3, height=64, width=64)
