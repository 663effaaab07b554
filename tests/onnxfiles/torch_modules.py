"""Blocks as people write them in torch, each in a small classifier of images (2, 12, 8)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = 8


class Gate(nn.Module):
    """Squeeze-and-excitation of 1x1 convolutions, or of linear layers between two views."""

    def __init__(self, *, linear: bool) -> None:
        super().__init__()
        self.linear = linear
        self.down, self.up = (
            (nn.Linear(CHANNELS, 2), nn.Linear(2, CHANNELS)) if linear else (nn.Conv2d(CHANNELS, 2, 1), nn.Conv2d(2, CHANNELS, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(x, 1)
        if not self.linear:
            return x * F.hardsigmoid(self.up(F.relu(self.down(pooled))))
        gate = torch.sigmoid(self.up(F.relu(self.down(pooled.view(x.size(0), -1)))))
        return x * gate.view(x.size(0), -1, 1, 1)


class MeanGate(nn.Module):
    """Efficient channel attention's way to a gate: indices by None."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(CHANNELS, CHANNELS, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.layer(x.mean((2, 3))))[:, :, None, None]


class LayerNorm2d(nn.Module):
    """Over channels, transposed to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(CHANNELS, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class WrittenOutLayerNorm(nn.Module):
    """Over channels where they are, as ConvNeXt's own code has it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(CHANNELS)), nn.Parameter(torch.rand(CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class ConvNeXtBlock(nn.Module):
    """Depthwise, then layer norm and two linear layers over channels that come last, layer scale, and the shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(CHANNELS, CHANNELS, 7, padding=3, groups=CHANNELS)
        self.norm, self.scale = nn.LayerNorm(CHANNELS), nn.Parameter(torch.rand(CHANNELS))
        self.up, self.down = nn.Linear(CHANNELS, 16), nn.Linear(16, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(x).permute(0, 2, 3, 1)
        y = self.scale * self.down(F.gelu(self.up(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class OptionA(nn.Module):
    """A residual block whose shortcut takes every second pixel and pads the channels (He et al. 2015, option A)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, 2, 1)
        self.back = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, CHANNELS // 2, CHANNELS // 2), "constant", 0)
        return self.back(F.relu(self.conv(x) + short))


class Halves(nn.Module):
    """One half of the channels continues, the other is its gate; then both come together again."""

    def forward(self, x: Tensor) -> Tensor:
        one, other = x.chunk(2, 1)
        return torch.cat([one * torch.sigmoid(other), other - one], 1)


class HardSwishByHand(nn.Module):
    """As older MobileNetV3 codes have it."""

    def forward(self, x: Tensor) -> Tensor:
        return x * F.relu6(x + 3.0) / 6.0


class GeluByHand(nn.Module):
    """As BERT's code has it."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.5 * (1.0 + torch.erf(x / 2.0**0.5))


class Upsampled(nn.Module):
    """Twice the size by the factor, then back; again by a size that is computed."""

    def forward(self, x: Tensor) -> Tensor:
        large = F.avg_pool2d(F.interpolate(x, scale_factor=2, mode="nearest"), 2)
        return F.max_pool2d(F.interpolate(large, size=(x.shape[2] * 3, x.shape[3] * 3)), (3, 3), ceil_mode=True)


class Classifier(nn.Module):
    """A stem, the block, a convolution, the head; ``activation`` comes after the stem."""

    def __init__(self, block: nn.Module, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS)
        self.activation, self.block = activation or nn.ReLU(), block
        self.last, self.head = nn.Conv2d(CHANNELS, 6, 3, stride=(2, 1)), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.block(self.activation(self.norm(self.stem(x)))))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(F.relu(x), (1, 1)), 1))


MODULES = {
    "gate of convolutions": lambda: Classifier(Gate(linear=False), nn.Hardswish()),
    "gate of linear layers": lambda: Classifier(Gate(linear=True), nn.SiLU()),
    "gate of a mean": lambda: Classifier(MeanGate(), nn.LeakyReLU(0.1)),
    "layer norm": lambda: Classifier(LayerNorm2d(), nn.GELU()),
    "layer norm written out": lambda: Classifier(WrittenOutLayerNorm(), nn.GELU(approximate="tanh")),
    "group norm": lambda: Classifier(nn.GroupNorm(2, CHANNELS), nn.PReLU(CHANNELS)),
    "instance norm": lambda: Classifier(nn.InstanceNorm2d(CHANNELS, affine=True), nn.ReLU6()),
    "ConvNeXt": lambda: Classifier(ConvNeXtBlock()),
    "option A": lambda: Classifier(OptionA()),
    "halves": lambda: Classifier(Halves(), HardSwishByHand()),
    "up-sampled": lambda: Classifier(Upsampled(), GeluByHand()),
    "padded": lambda: Classifier(nn.Sequential(nn.ConstantPad2d((1, 0, 2, 1), 0.5), nn.MaxPool2d((2, 3), 1, (1, 1)))),
    "pools": lambda: Classifier(nn.Sequential(
        nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.AvgPool2d(2, 2, ceil_mode=True),
    ), nn.Hardsigmoid()),
    "windows": lambda: Classifier(nn.Sequential(
        nn.Conv2d(CHANNELS, CHANNELS, (4, 1), padding="same", groups=2),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=(2, 1), dilation=(2, 1)),
    )),
}  # fmt: skip


def trained(name: str) -> nn.Module:
    """The network with random parameters and statistics, no two tensors alike, as if it had been trained."""
    torch.manual_seed(0)
    network = MODULES[name]().eval()
    for tensor in network.state_dict().values():
        if tensor.dtype == torch.float32:
            tensor.copy_(torch.rand_like(tensor) * 0.8 - (0.0 if tensor.dim() == 1 else 0.4) + 0.05)
    return network
