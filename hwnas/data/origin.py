"""Where a data set comes from: what lay on the disk, what was left out of it, and how it became three splits of one size."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Sizes: TypeAlias = Mapping[tuple[int, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is known of a data set besides its tensors.

    ``splits``: for validation and test, what they were taken from, in words. ``sizes``: how many images had each (height, width)
    before they were brought to one; ``fit``: how they were, as in ``DataSettings``. ``left_out``: what lay there and was not
    read, in words. ``has_own_validation``: the validation images were not split off the training images.
    """

    splits: Mapping[str, str] = field(default_factory=dict)
    sizes: Sizes = field(default_factory=dict)
    fit: str = "crop"
    left_out: tuple[str, ...] = ()
    has_own_validation: bool = False

    def cropped(self, height: int, width: int) -> int:
        """How many images lost a part of two of their sides where they were scaled until they covered (height, width)."""
        if self.fit != "crop":
            return 0
        return sum(count for (high, wide), count in self.sizes.items() if _is_cut(high, wide, height, width))


def _is_cut(high: int, wide: int, height: int, width: int) -> bool:
    """Whether what is cut off the scaled image is at least half a pixel."""
    scale = max(height / high, width / wide)
    return scale * high - height >= 0.5 or scale * wide - width >= 0.5
