"""What decoding a source gives, before it is split."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hwnas.data.dataset import Split
from hwnas.data.origin import Sizes

# Called with (images done, images in all).
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A source's rows as tensors: classes, the splits that its files name, and the training rows' groups, int64 (n,).

    ``sizes``: how many images had each size before they were brought to one.
    """

    classes: tuple[str, ...]
    splits: dict[str, Split]
    groups: torch.Tensor | None
    sizes: Sizes
