"""Every operation in a small classifier: at least one case of each, several where its parameters change what is computed."""

from collections.abc import Callable, Mapping

from hwnas.graph import (
    AdaptiveAvgPool,
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    Gelu,
    GlobalAvgPool,
    GlobalMaxPool,
    Graph,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    LayerNorm,
    LeakyRelu,
    Linear,
    MaxPool,
    Multiply,
    Op,
    Pad,
    PRelu,
    Scale,
    ScaledAdd,
    Sigmoid,
    Silu,
    Slice,
    Subtract,
    Upsample,
    WeightedAdd,
)
from tests.graphs import Builder

CHANNELS = 4


def on_map(op: Op) -> Graph:
    """A convolution, the operation on its (4, 9, 7) output, another convolution, the head."""
    b = Builder(2, 9, 7)
    b.conv(CHANNELS)
    b.add(op)
    b.conv(6)
    return b.head(3)


def on_vector(op: Op) -> Graph:
    """The operation on a flattened feature map, before the last layer."""
    b = Builder(2, 5, 4)
    b.conv(CHANNELS)
    b.add(Flatten())
    b.add(op)
    logits = b.add(Linear(out_features=3))
    return Graph(tuple(b.nodes), logits)


def on_two(op: Op) -> Graph:
    """The operation on the outputs of two convolutions of one image."""
    b = Builder(2, 9, 7)
    stem = b.conv(CHANNELS)
    left, right = b.conv(CHANNELS, stem), b.conv(CHANNELS, stem, relu=False)
    b.add(op, left, right)
    b.conv(6)
    return b.head(3)


def gated() -> Graph:
    """Squeeze-and-excitation: a feature map times a gate (C, 1, 1) computed from it."""
    b = Builder(2, 9, 7)
    trunk = b.conv(8)
    b.add(GlobalAvgPool())
    b.add(Conv(out_channels=4, kernel=1, padding=0, bias=True))
    b.add(Clip())
    b.add(Conv(out_channels=8, kernel=1, padding=0, bias=True))
    gate = b.add(HardSigmoid())
    b.add(Multiply(), trunk, gate)
    b.conv(6)
    return b.head(3)


def summed() -> Graph:
    """A sum of three tensors."""
    b = Builder(2, 6, 6)
    stem = b.conv(CHANNELS)
    b.add(Add(), stem, b.conv(CHANNELS, stem), b.conv(CHANNELS, stem, relu=False))
    b.conv(6)
    return b.head(3)


def shortcut() -> Graph:
    """A residual block whose shortcut halves the map by slicing and pads the channels with zeros (option A of He et al. 2015)."""
    b = Builder(2, 8, 8)
    stem = b.conv(CHANNELS)
    b.conv(8, stem, stride=2)
    body = b.conv(8, relu=False)
    b.add(Slice(step=2), stem)
    padded = b.add(Pad(channels=(2, 2)))
    b.add(Add(), body, padded)
    b.add(Clip())
    return b.head(3)


_MAP_OPS: Mapping[str, Op] = {
    "conv": Conv(out_channels=5, kernel=3, padding=1),
    "conv-bias-strided": Conv(out_channels=5, kernel=3, padding=1, stride=2, bias=True),
    "conv-rectangular": Conv(out_channels=5, kernel=(3, 1), padding=(1, 0), stride=(2, 1)),
    "conv-dilated": Conv(out_channels=5, kernel=3, padding=2, dilation=2),
    "conv-uneven-padding": Conv(out_channels=5, kernel=3, padding=(0, 0, 1, 2), stride=2, bias=True),
    "conv-depthwise": Conv(out_channels=CHANNELS, kernel=3, padding=1, groups=CHANNELS),
    "conv-depthwise-dilated": Conv(out_channels=CHANNELS, kernel=(1, 3), padding=(0, 2), dilation=(1, 2), groups=CHANNELS),
    "conv-depthwise-multiplier": Conv(out_channels=2 * CHANNELS, kernel=3, padding=1, groups=CHANNELS),
    "conv-grouped": Conv(out_channels=6, kernel=3, padding=1, groups=2),
    "batch_norm": BatchNorm(),
    "batch_norm-eps": BatchNorm(eps=1e-3, momentum=0.01),
    "layer_norm": LayerNorm(eps=1e-6),
    "group_norm": GroupNorm(groups=2),
    "scale": Scale(),
    "clip-bounded": Clip(low=-0.5, high=0.75),
    "clip-above": Clip(low=float("-inf"), high=1.0),
    "sigmoid": Sigmoid(),
    "hard_sigmoid": HardSigmoid(),
    "silu": Silu(),
    "hard_swish": HardSwish(),
    "gelu": Gelu(),
    "gelu-tanh": Gelu(tanh=True),
    "leaky_relu": LeakyRelu(slope=0.2),
    "prelu": PRelu(),
    "max_pool": MaxPool(),
    "max_pool-padded": MaxPool(kernel=3, stride=2, padding=1),
    "max_pool-ceil": MaxPool(kernel=(2, 3), stride=(2, 3), ceil_mode=True),
    "max_pool-uneven-padding": MaxPool(kernel=3, stride=2, padding=(0, 0, 1, 1)),
    "avg_pool": AvgPool(),
    "avg_pool-padded": AvgPool(kernel=3, stride=1, padding=1),
    "avg_pool-uncounted": AvgPool(kernel=3, stride=2, padding=1, count_include_pad=False),
    "avg_pool-ceil": AvgPool(kernel=2, stride=2, ceil_mode=True),
    "global_avg_pool": GlobalAvgPool(),
    "global_max_pool": GlobalMaxPool(),
    "adaptive_avg_pool": AdaptiveAvgPool(height=3, width=7),
    "adaptive_avg_pool-uneven": AdaptiveAvgPool(height=2, width=3),
    "slice-strided": Slice(step=(2, 1)),
    "slice-channels": Slice(start=1, stop=3),
    "pad": Pad(padding=(0, 1, 2, 0), value=0.5),
    "pad-channels": Pad(channels=(1, 2)),
    "upsample": Upsample(factor=(2, 1)),
}
_VECTOR_OPS: Mapping[str, Op] = {
    "linear": Linear(out_features=6),
    "linear-plain": Linear(out_features=6, bias=False),
    "layer_norm-vector": LayerNorm(),
    "scale-vector": Scale(),
    "clip-vector": Clip(),
    "gelu-vector": Gelu(),
    "prelu-vector": PRelu(),
}
_TWO_OPS: Mapping[str, Op] = {
    "add": Add(),
    "weighted_add": WeightedAdd(),
    "scaled_add": ScaledAdd(factors=(1.0, -0.5)),
    "multiply": Multiply(),
    "subtract": Subtract(),
    "concat": Concat(),
}


def _cases() -> dict[str, Callable[[], Graph]]:
    found: dict[str, Callable[[], Graph]] = {"multiply-gate": gated, "add-three": summed, "shortcut": shortcut}
    for table, embed in ((_MAP_OPS, on_map), (_VECTOR_OPS, on_vector), (_TWO_OPS, on_two)):
        found |= {name: (lambda op=op, embed=embed: embed(op)) for name, op in table.items()}
    return found


CASES = _cases()
