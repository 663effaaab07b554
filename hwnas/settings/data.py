"""What a user says about the data: where they lie, what size, and how they are split."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, ConfigDict

from hwnas.errors import ConfigError

DIGITS = "digits"
Fit: TypeAlias = Literal["crop", "stretch", "pad"]
MAX_PIXELS = 50_000_000
IMAGENET = (0.485, 0.456, 0.406, 0.229, 0.224, 0.225)  # mean and standard deviation, as most networks trained on it use


def _both_sides(given: object) -> object:
    """One number is that of both sides."""
    return (given, given) if isinstance(given, int) else given


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """Where the images lie and how they become three splits.

    source: "digits" (scikit-learn's, built in), or the path of a parquet file, a folder of them, or an image folder.
    image_size: (height, width) in pixels, or one number for both; None takes the size that all images share, or 64 x 64.
    fit: how an image of another size is brought to that one: "crop" scales it until it covers it and cuts off the rest at the
        centre, "stretch" changes its proportions, "pad" scales it until it fits and lays it over black.
    group_by: "COLUMN" or "COLUMN:REGEX" (grouped by the text that matches first); rows of one group are never split.
        `path` is the image's own path where no column has that name: GTSRB's frames of one sign are `path:^\\d+/\\d+_`.
    label_column: needed only where there are several and none is called "label".
    validation_share, test_share: of the rows of the training file, in (0, 0.5), unused where a split has its own file;
        None is 0.2 and 0.2 for digits, else 0.1 and 0.2.
    validation: the path of a data set of which all images are validation images, with the classes of the source: needed where a
        network that has already seen the source's training images is judged. None takes what the source has, or splits it.
    seed: of the split; None is that of the run, and 0 where there is none.
    max_pixels: an image that says it has more is refused undecoded.
    cache_folder: where decoded images are kept; None is the user's cache folder.
    normalisation: what images in [0, 1] are normalised by, the mean of each channel and then the standard deviation of each (or
        one of both for all channels); None takes those of the training images.

    Raises ConfigError.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    source: str = DIGITS
    image_size: Annotated[tuple[int, int] | None, BeforeValidator(_both_sides)] = None
    fit: Fit = "crop"
    group_by: str | None = None
    label_column: str | None = None
    validation_share: float | None = None
    test_share: float | None = None
    validation: str | None = None
    seed: int | None = None
    max_pixels: int = MAX_PIXELS
    cache_folder: Path | None = None
    normalisation: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.source:
            raise ConfigError('the data source is empty; expected "digits" or the path of a data set')
        if self.image_size is not None and (len(self.image_size) != 2 or min(self.image_size) < 1):
            raise ConfigError(f"the image size must be (height, width), both at least 1, not {self.image_size}")
        if self.fit not in get_args(Fit):
            raise ConfigError(f"fit is {', '.join(get_args(Fit))}, got {self.fit!r}")
        for name in ("validation_share", "test_share"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 0.5:
                raise ConfigError(f"{name} must lie between 0 and 0.5, not {share}")
        if self.validation is not None and (not self.validation or self.source == DIGITS):
            raise ConfigError("validation is the path of a data set; the built-in digits have a split of their own: leave it out")
        if self.seed is not None and self.seed < 0:
            raise ConfigError(f"the seed of the split must be at least 0, not {self.seed}")
        if self.normalisation is not None:
            _check_normalisation(self.normalisation)
        if self.max_pixels < 1:
            raise ConfigError(f"max_pixels must be at least 1, not {self.max_pixels}")


def _check_normalisation(given: tuple[float, ...]) -> None:
    means, stds = given[: len(given) // 2], given[len(given) // 2 :]
    if not given or len(means) != len(stds) or not all(map(math.isfinite, given)) or min(stds) <= 0:
        raise ConfigError(
            f"a normalisation is the mean of each channel and then the standard deviation of each, above 0, got {given}"
        )
