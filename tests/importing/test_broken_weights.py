"""Weights that are no numbers are told as that, not as a network that hwnas took wrongly."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from hwnas.errors import ModelError
from hwnas.importing.onnx_file import take_onnx
from hwnas.importing.torch_export import take_module
from tests.device.models import conv_net

BROKEN = [float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize("value", BROKEN)
def test_of_a_file(value: float, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(conv_net())
    weight = model.graph.initializer[0]
    array = numpy_helper.to_array(weight).copy()
    array[0] = value
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    onnx.save(model, tmp_path / "broken.onnx")
    with pytest.raises(ModelError, match=r"expected finite weights, got infinities or NaN \(taken as .+\)"):
        take_onnx(tmp_path / "broken.onnx", channels=3, height=8, width=8)


@pytest.mark.parametrize("value", BROKEN)
def test_of_a_module(value: float) -> None:
    first = nn.Conv2d(3, 4, 3, padding=1)
    with torch.no_grad():
        first.weight[0] = value
    module = nn.Sequential(first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    with pytest.raises(ModelError, match="expected finite weights"):
        take_module(module, channels=3, height=8, width=8)
