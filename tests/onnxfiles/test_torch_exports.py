"""What torch's exporters write of blocks by hand is read, whichever operators they take for it."""

import importlib.util
import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from hwnas.campaign import onnx_subject
from hwnas.deployed import Program
from hwnas.graph import Pad, Slice
from hwnas.injection import FastSimulator, NaiveSimulator, TorchTarget, from_onnx
from tests.onnxfiles.torch_modules import MODULES, trained

THIRD_PARTY = Path(__file__).parents[2].parent / "shared" / "data" / "resnet20_cifar10" / "resnet20.safetensors"


def exported(network: nn.Module, image: Tensor, *, opset: int | None, dynamic: bool, folded: bool = True) -> bytes:
    """A file of the TorchScript exporter; ``folded``: constants are computed by it."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (image,), file, dynamo=False, opset_version=opset, input_names=["x"], do_constant_folding=folded,
            dynamic_axes={"x": {0: "n"}} if dynamic else None,
        )  # fmt: skip
    return file.getvalue()


def assert_read(content: bytes, network: nn.Module, images: Tensor) -> Program:
    made = Program(*from_onnx(content))
    torch.testing.assert_close(made.run(images), network(images).detach(), rtol=1e-4, atol=1e-4)
    return made


@pytest.mark.parametrize(("opset", "dynamic", "folded"), [(None, False, True), (13, True, True), (17, True, False)])
@pytest.mark.parametrize("name", MODULES)
def test_a_block_by_hand_is_read(name: str, opset: int | None, dynamic: bool, folded: bool) -> None:
    network, images = trained(name), torch.rand(2, 2, 12, 8)
    content = exported(network, images, opset=opset, dynamic=dynamic, folded=folded)
    made = assert_read(content, network, images)
    words = sum(parameter.numel() for parameter in network.parameters())
    assert made.memory.population.size <= 32 * words  # nothing is faulted that the file does not hold


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="torch's newer exporter needs onnxscript")
@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"layer norm"}))  # there it writes a Gather that names the batch
def test_a_block_by_hand_is_read_from_the_newer_exporter(name: str) -> None:
    network, images, file = trained(name), torch.rand(2, 2, 12, 8), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (images,), file, dynamo=True, verbose=False)
    assert_read(file.getvalue(), network, images)


class OptionABlock(nn.Module):
    """Two convolutions and a shortcut that takes every second pixel and pads channels (He et al. 2015)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.added = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        body = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.added:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2), "constant", 0)
        return F.relu(body + x)


class ResNet20(nn.Module):
    """As the third party's code has it, so that the names of its tensors fit."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(OptionABlock(16, 16, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(OptionABlock(16, 32, 2), *(OptionABlock(32, 32, 1) for _ in range(2)))
        self.layer3 = nn.Sequential(OptionABlock(32, 64, 2), *(OptionABlock(64, 64, 1) for _ in range(2)))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(F.avg_pool2d(x, x.size()[3]).view(x.size(0), -1))


@pytest.mark.skipif(not THIRD_PARTY.is_file(), reason=f"the third party's weights are not at {THIRD_PARTY}")
def test_a_third_partys_resnet_with_option_a_shortcuts_runs_on_the_fast_engine(tmp_path: Path) -> None:
    network = ResNet20().eval()
    state = load_file(THIRD_PARTY)
    state |= {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    network.load_state_dict(state)
    images = torch.rand(2, 3, 32, 32)
    content = exported(network, images[:1], opset=None, dynamic=False)
    made = assert_read(content, network, images)
    assert sum(isinstance(node.op, Pad) for node in made.graph) == 2
    assert any(isinstance(node.op, Slice) for node in made.graph)
    assert sum(array.size for array in made.memory.arrays.values() if array.ndim > 1) == 268_336  # its 19 + 1 matrices

    apart, _ = from_onnx(exported(network, images[:1], opset=None, dynamic=True, folded=False))  # batch norms apart
    assert sum(isinstance(node.op, Pad) for node in apart) == 2

    path = tmp_path / "resnet20.onnx"
    path.write_bytes(content)
    bench = onnx_subject(path, "float32").bench()
    assert isinstance(bench, TorchTarget)
    fast, naive = FastSimulator(made, images), NaiveSimulator(made, images)
    rng, changed = np.random.default_rng(0), 0
    for element in rng.integers(made.memory.population.size // 32, size=6):
        change = made.memory.flipped(np.array([int(element) * 32 + 30]))
        found = naive.weights(change).classes
        np.testing.assert_array_equal(fast.weights(change).classes, found)
        changed += int((found != naive.classes).sum())
    assert changed > 0
