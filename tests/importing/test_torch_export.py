"""A user's own torch model becomes a graph that computes the same, or is refused by name."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwnas.errors import ModelError
from hwnas.graph import Add, Clip, Concat, Graph, architecture_id
from hwnas.importing import import_module
from hwnas.network import Network
from tests.graphs import SAMPLES
from tests.network.hand_written import HAND_WRITTEN


class BasicBlock(nn.Module):
    """As in torchvision: in-place activations, an in-place sum, an optional projection."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding="same", bias=False)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 16, 2), nn.Dropout(0.5))
        self.pool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.blocks(self.stem(x)))
        return self.fc(torch.flatten(x, 1))


class Inverted(nn.Module):
    """An inverted residual with a linear bottleneck, as in MobileNetV2; eps as in its TensorFlow weights."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 4 * inputs
        self.residual = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide, eps=1e-3), nn.ReLU6(inplace=True),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide, affine=False), nn.ReLU6(),
            nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), Inverted(8, 8, 1), Inverted(8, 12, 2), Inverted(12, 12, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(12, 10, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class Functional(nn.Module):
    """Functional forms, a concat, a view, and a tensor that is changed in place and then read again."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x)
        b = self.second(F.relu(a, inplace=True))
        c = torch.cat([a, F.relu6(b)], dim=1)  # a is now its own activation
        c = F.max_pool2d(F.avg_pool2d(c, 2), kernel_size=3, stride=2).relu()
        c = F.dropout(F.hardtanh(c, -0.5, 0.5), 0.5, self.training)
        return self.fc(c.view(c.size(0), -1))


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                drawn = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(drawn + 0.5 if name.endswith("running_var") else (drawn - 0.5))
    return module


def assert_imported(module: nn.Module, size: int = 12, channels: int = 3) -> Graph:
    module = randomised(module)
    graph, state = import_module(module, channels=channels, height=size, width=size)
    images = torch.randn(4, channels, size, size, generator=torch.Generator().manual_seed(5))
    network = Network(graph, state)
    assert module.training
    torch.testing.assert_close(network.eval()(images), module.eval()(images), rtol=1e-4, atol=1e-5)
    assert {key: tuple(value.shape) for key, value in state.items()} == graph.tensors()
    return graph


def test_resnet() -> None:
    graph = assert_imported(ResNet(), size=16)
    assert sum(isinstance(node.op, Add) for node in graph) == 2


def test_mobilenet_v2() -> None:
    graph = assert_imported(MobileNet(), size=16)
    assert sum(isinstance(node.op, Clip) and node.op.high == 6.0 for node in graph) == 6
    assert sum(isinstance(node.op, Add) for node in graph) == 2


def test_functional_forms_and_in_place_changes() -> None:
    graph = assert_imported(Functional(), size=10)
    assert sum(isinstance(node.op, Concat) for node in graph) == 1


def test_numbers_of_the_model_scale_and_move_channels() -> None:
    graph = assert_imported(sequence(Affine()), size=8)
    assert sum(node.op.kind == "scale" for node in graph) == 1


@pytest.mark.parametrize("name", ["plain", "flat", "separable", "residual"])
def test_the_hand_written_samples_become_the_samples(name: str) -> None:
    sample = SAMPLES[name]()
    image = sample.shapes[sample.input.id]
    graph, _ = import_module(randomised(HAND_WRITTEN[name]()), channels=image[0], height=image[1], width=image[2])
    assert architecture_id(graph) == architecture_id(sample)


def test_nothing_is_shared_or_changed() -> None:
    module: Any = randomised(ResNet())
    module.blocks.eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    _, state = import_module(module, channels=3, height=16, width=16)
    for value in state.values():
        value.fill_(7.0)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert module.training
    assert not module.blocks.training


def sequence(*modules: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), *modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Scaled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 + x


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Affine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain, self.offset = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x + self.offset


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Named(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": x}


class Cumulative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(1)


def tied() -> nn.Module:
    one, other = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
    other.weight = one.weight
    return sequence(one, other)


def shared() -> nn.Module:
    layer = nn.Conv2d(4, 4, 1)
    return sequence(layer, layer)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "softplus": (lambda: sequence(nn.Softplus()), "no operation of hwnas computes it; supported are"),
    "its line": (lambda: sequence(Cumulative()), "test_torch_export.py"),
    "reflected": (lambda: sequence(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")), "padding of the mode reflect"),
    "divisor": (lambda: sequence(nn.AvgPool2d(2, divisor_override=3)), "a divisor of its own"),
    "no statistics": (lambda: sequence(nn.BatchNorm2d(4, track_running_stats=False)), "without running statistics"),
    "cumulative": (lambda: sequence(nn.BatchNorm2d(4, momentum=None)), "momentum None, a cumulative average"),
    "shared": (shared, "1.bias is used by two layers"),
    "tied": (tied, "is used by two layers"),
    "branching": (lambda: sequence(Branching()), "without decisions that depend on data"),
    "moved logits": (lambda: nn.Sequential(sequence(), Scaled()), "the sum with a constant"),
    "pair": (lambda: Pair(), "got 2 values in a tuple; wrap the model"),
    "mapping": (lambda: Named(), "got 1 values in a dict; wrap the model"),
    "two inputs": (lambda: TwoInputs(), "one input, the images; y is another"),
    "no logits": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3)), "no classifier of 3x8x8 images"),
    "of grey images": (lambda: nn.Sequential(nn.Conv2d(1, 2, 8), nn.Flatten()), "a model that takes 3x8x8 images"),
    "of larger images": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 9 * 8, 2)), "a model that takes 3x8x8 images"),
    "half precision": (lambda: sequence().half(), "in float32 and on the CPU"),
    "whole flatten": (lambda: nn.Sequential(nn.Flatten(0)), "no classifier of 3x8x8 images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_taken_is_named(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(ModelError, match=re.escape(message)):
        import_module(make(), channels=3, height=8, width=8)
