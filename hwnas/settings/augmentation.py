"""How training images are changed at random: settings only."""

import math
from dataclasses import dataclass

from pydantic import ConfigDict

from hwnas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What is done to training images; everything is off by default.

    crop_padding: pixels of black around an image, of which a random window of its size is cut.
    flip: mirrored left to right, every second time.
    cutout: side in pixels of a square, somewhere, set to the mean [DeVries2017].
    mixup: alpha of the Beta distribution by which two images and their labels are mixed [Zhang2018]; 0.1 to 0.4 is usual.

    Raises ConfigError.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    crop_padding: int = 0
    flip: bool = False
    cutout: int = 0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        if self.crop_padding < 0 or self.cutout < 0:
            raise ConfigError(f"crop_padding and cutout are pixels, at least 0, not {self.crop_padding} and {self.cutout}")
        if not (0 <= self.mixup < math.inf):
            raise ConfigError(f"mixup is the alpha of a Beta distribution, at least 0 (off), not {self.mixup}")
