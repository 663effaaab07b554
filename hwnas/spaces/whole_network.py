"""Search space I: whole networks [Elsken2019], and the trivial ones that a search starts from.

The paper starts from three stages, one Conv-BN-ReLU each, 2x2 max-pools between, global average pool, linear; plain and
separable. Ours (our definition) are smaller, so that the front's small end is there from the first generation; some stride
instead of pooling, some end in a flatten, which costs the linear layer weights but keeps where a feature is, and for larger
images some are residual networks [He2016], or every search would have to discover skip connections.

1. Images with a side above 32 are first brought down: each stage before the others halves them.
2. Each stage is one Conv-BN-ReLU, from the second on separable where the network is; it halves the map by its stride (as long
   as every weight still meets a pixel), or a 2x2 max-pool after it does.
   A residual network has one such layer as its stem and then one block a stage: two convolutions and a shortcut, which is a
   strided 1x1 convolution where the block halves the map or changes the channels.
3. The head is a global average pool, or, where the last map is small, a flatten; then a linear layer.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hwnas.graph import (
    Add,
    BatchNorm,
    Clip,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    Op,
    Shape,
    architecture_id,
)
from hwnas.morphism.kernel_reach import fits

Head: TypeAlias = Literal["gap", "flat"]
LARGEST_SIDE = 32  # what the stages themselves work on
STRIDED_SIDE = 3  # a 3x3 window of stride 2 on a shorter side has weights that only ever meet padding
FLAT_PIXELS = 16  # the largest map that is flattened


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An initial network: the channels of its stages, its head, whether it strides or pools, whether it is separable.

    ``stem``: it is a residual network whose stem has so many channels (0: it is none); where it is ``early``, its first block
    halves the map like those after it.
    """

    channels: tuple[int, ...]
    head: Head = "gap"
    strided: bool = True
    separable: bool = False
    stem: int = 0
    early: bool = False

    @property
    def name(self) -> str:
        """Such as ``gap-4-8``, ``separable-pool-gap-16-32-64`` or ``early-residual-16-gap-16-32-64``."""
        words = [f"{'early-' * self.early}residual-{self.stem}"] if self.stem else []
        words += ["separable"] * self.separable + ["pool"] * (not self.strided) + [self.head, *map(str, self.channels)]
        return "-".join(words)


TINY = (  # 50 to 1,500 parameters for digits; two plain ones of 6,000 and 24,000, or the accurate end grows too slowly
    Recipe(channels=(2,)),
    Recipe(channels=(2, 2), head="flat"),
    Recipe(channels=(4,), head="gap"),
    Recipe(channels=(3, 4), head="flat"),
    Recipe(channels=(4, 8), strided=False),
    Recipe(channels=(4, 8, 16), separable=True),
    Recipe(channels=(4, 8), head="flat"),
    Recipe(channels=(4, 8, 12)),
    Recipe(channels=(8, 16, 32), strided=False),
    Recipe(channels=(16, 32, 64), strided=False),
)
SMALL = (  # 1,000 to 62,000 parameters for CIFAR-10; at a size a fourth stage learns faster than more channels do
    Recipe(channels=(4, 8, 16)),
    Recipe(channels=(4, 8, 16), head="flat"),
    Recipe(channels=(8, 16, 32), strided=False),
    Recipe(channels=(8, 16, 32), head="flat"),
    Recipe(channels=(16, 32, 64), strided=False, separable=True),
    Recipe(channels=(32, 64, 128), separable=True),
    Recipe(channels=(16, 32, 64), strided=False),
    Recipe(channels=(16, 32, 64, 64), strided=False),
    Recipe(channels=(8, 16, 32), stem=8),
    Recipe(channels=(16, 32, 64), stem=16, early=True),
    Recipe(channels=(16, 32, 64), stem=16),
    Recipe(channels=(32, 64, 128), stem=16, early=True),
    Recipe(channels=(48, 96, 192), stem=16, early=True),
)


def initial_graphs(shape: tuple[int, int, int], classes: int) -> tuple[tuple[str, Graph], ...]:
    """The initial networks for images (C, H, W) and a number of classes, with their names; no two are alike."""
    recipes = TINY if max(shape[1:]) <= LARGEST_SIDE // 2 else SMALL
    found: dict[str, tuple[str, Graph]] = {}
    for recipe in recipes:
        graph = _build(recipe, shape, classes)
        found.setdefault(architecture_id(graph), (recipe.name, graph))
    return tuple(found.values())


class _Stack:
    """A network under construction, one node upon the other."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape: Shape = shape
        self.nodes = [Node(1, Input(channels=shape[0], height=shape[1], width=shape[2]))]

    @property
    def last(self) -> int:
        """The node that was put on top."""
        return len(self.nodes)

    def add(self, op: Op, *inputs: int) -> int:
        """Put an operation on top, or on the given nodes, which have the shape of the top one; gives its id."""
        self.nodes.append(Node(len(self.nodes) + 1, op, inputs or (self.last,)))
        self.shape = op.shape([self.shape] * max(1, len(inputs)))
        return self.last

    def stage(self, channels: int, *, stride: int, separable: bool, activated: bool = True) -> None:
        """Conv-BN-ReLU, or depthwise convolution and pointwise Conv-BN-ReLU; kernels of 3, or 1 where the map is too small."""
        groups = self.shape[0] if separable else 1
        spatial = Conv(out_channels=self.shape[0] if separable else channels, kernel=3, padding=1, stride=stride, groups=groups)
        self.add(spatial if fits(spatial, self.shape) else dataclasses.replace(spatial, kernel=1, padding=0))
        if separable:
            self.add(Conv(out_channels=channels, kernel=1, padding=0))
        self.add(BatchNorm())
        if activated:
            self.add(Clip())

    def block(self, channels: int, *, stride: int) -> None:
        """A residual block with 3x3 convolutions; the ReLU comes behind the sum [He2016, figure 2]."""
        start, shape = self.last, self.shape
        self.stage(channels, stride=stride, separable=False)
        self.stage(channels, stride=1, separable=False, activated=False)
        body = self.last
        if stride > 1 or shape[0] != channels:
            self.shape = shape
            self.add(Conv(out_channels=channels, kernel=1, padding=0, stride=stride), start)
            start = self.add(BatchNorm())
        self.add(Add(), body, start)
        self.add(Clip())

    def pool(self) -> None:
        """Halve the map where it can be halved."""
        if min(self.shape[1:]) > 1:
            self.add(MaxPool())


def _build(recipe: Recipe, shape: tuple[int, int, int], classes: int) -> Graph:
    stack = _Stack(shape)
    while max(stack.shape[1:]) > LARGEST_SIDE and min(stack.shape[1:]) >= STRIDED_SIDE:  # 1.
        first = len(stack.nodes) == 1
        stack.stage(recipe.channels[0], stride=2, separable=recipe.separable and not first)
    if recipe.stem:
        _residual(stack, recipe)
        _head(stack, recipe.head, classes)
        return Graph(tuple(stack.nodes), stack.last)
    for place, channels in enumerate(recipe.channels):  # 2.
        first = len(stack.nodes) == 1
        stride = 2 if recipe.strided and min(stack.shape[1:]) >= STRIDED_SIDE else 1
        stack.stage(channels, stride=stride, separable=recipe.separable and not first)
        if not recipe.strided and place < len(recipe.channels) - 1:
            stack.pool()
    _head(stack, recipe.head, classes)
    return Graph(tuple(stack.nodes), stack.last)


def _residual(stack: _Stack, recipe: Recipe) -> None:
    """Stem and blocks of a residual network (2.)."""
    stack.stage(recipe.stem, stride=1, separable=False)
    for place, channels in enumerate(recipe.channels):
        halves = (place > 0 or recipe.early) and min(stack.shape[1:]) >= STRIDED_SIDE
        stack.block(channels, stride=2 if halves else 1)


def _head(stack: _Stack, head: Head, classes: int) -> None:
    if head == "flat":  # 3.
        while stack.shape[1] * stack.shape[2] > FLAT_PIXELS and min(stack.shape[1:]) > 1:
            stack.pool()
    if stack.shape[1] * stack.shape[2] > (1 if head == "gap" else FLAT_PIXELS):
        stack.add(GlobalAvgPool())
    stack.add(Flatten())
    stack.add(Linear(out_features=classes))
