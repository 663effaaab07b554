"""What people's classifiers do, as modules and as the files that torch writes of them: both are taken, and compute the same."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnas.errors import UnsupportedOperatorError
from hwnas.importing.onnx_file import take_onnx
from hwnas.importing.taken import Taken
from hwnas.importing.torch_export import take_module
from hwnas.injection import from_onnx

SIZE = {"channels": 3, "height": 6, "width": 6}


class Joined(nn.Module):
    """The first layer of a DenseNet's block joins one feature map."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([torch.cat([x], 1), x], 1)[:, :4]


class Shifted(nn.Module):
    """One learnable number times a feature map, and one added, as PaddlePaddle's networks have it; and zeros added."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.offset, self.each = (
            nn.Parameter(torch.ones(1)),
            nn.Parameter(torch.ones(1)),
            nn.Parameter(torch.ones(4, 1, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.scale * (F.relu(x) + 0) + self.offset) * 0.5 + self.each


class GeluOfProduct(nn.Module):
    """The exact GELU of what is a product itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(torch.sigmoid(x) * (x * self.scale))


class ComputedPadding(nn.Module):
    """The padding of TensorFlow's networks, which tracing leaves in the file as arithmetic with the image's size."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_tracing():
            return F.pad(x, (0, 1, 0, 1))
        size = torch.as_tensor(x.shape[-1])
        missing = ((size / 4).ceil() * 4 - size - 1).clamp(min=0)
        return F.pad(x, [0, missing.to(torch.int64), 0, missing.to(torch.int64)])


class Resized(nn.Module):
    """Up to a size that is no whole multiple, down again to another; each by the nearest pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(F.interpolate(x[:, :, ::2, ::2], size=(7, 5), mode="nearest"), size=(4, 6), mode="nearest")


class TwoHeads(nn.Module):
    """A distilled classifier: each head with a batch norm of the features, and the mean of both."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norms = nn.Conv2d(3, 4, 3), nn.ModuleList(nn.BatchNorm1d(4) for _ in range(2))
        self.heads = nn.ModuleList(nn.Linear(4, 3) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        features = self.stem(x).mean((2, 3))
        one, other = (head(norm(features)) for head, norm in zip(self.heads, self.norms, strict=True))
        return (one + other) / 2


class HiddenLayer(nn.Module):
    """A head with a hidden layer and a batch norm behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.hidden, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.norm(self.hidden(self.stem(x).mean((2, 3))))))


def around(block: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), block, nn.Conv2d(4, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)
    )


CASES: dict[str, Callable[[], nn.Module]] = {
    "joined": lambda: around(Joined()),
    "shifted": lambda: around(Shifted()),
    "GELU of a product": lambda: around(GeluOfProduct()),
    "computed padding": lambda: around(ComputedPadding()),
    "resized": lambda: around(Resized()),
    "two heads": TwoHeads,
    "a hidden layer": HiddenLayer,
}


def trained(name: str) -> nn.Module:
    """A classifier whose numbers differ from one another, as after a training."""
    module, generator = CASES[name]().eval(), torch.Generator().manual_seed(0)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.2)
    return module


def written(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 3, 6, 6),), path, dynamo=False, opset_version=17, input_names=["images"])
    return path


def assert_taken(found: Taken, module: nn.Module) -> None:
    images = torch.rand(3, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.answers(images), module(images).detach(), rtol=1e-4, atol=1e-5)
    assert found.parity.relative <= 1e-5


@pytest.mark.parametrize("name", CASES)
def test_a_module_and_its_file_are_taken(name: str, tmp_path: Path) -> None:
    module = trained(name)
    assert_taken(take_module(module, **SIZE), module)
    assert_taken(take_onnx(written(module, tmp_path / "model.onnx"), **SIZE), module)


def test_no_bit_is_faulted_that_the_file_does_not_hold(tmp_path: Path) -> None:
    content = written(trained("shifted"), tmp_path / "model.onnx").read_bytes()
    with pytest.raises(UnsupportedOperatorError, match="does not hold once for each channel"):
        from_onnx(content)
