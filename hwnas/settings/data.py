"""What a user says about the data: where they lie, what size, and how they are split."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict

from hwnas.errors import ConfigError

DIGITS = "digits"
MAX_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """Where the images lie and how they become three splits.

    source: "digits" (scikit-learn's, built in), or the path of a parquet file, a folder of them, or an image folder.
    image_size: (height, width) in pixels; None takes the size that all images share, or 64 x 64 where they differ.
    group_by: "COLUMN" or "COLUMN:REGEX" (grouped by the text that matches first); rows of one group are never split.
        `path` is the image's own path where no column has that name: GTSRB's frames of one sign are `path:^\\d+/\\d+_`.
    label_column: needed only where there are several and none is called "label".
    validation_share, test_share: of the rows of the training file, in (0, 0.5), unused where a split has its own file;
        None is 0.2 and 0.2 for digits, else 0.1 and 0.2.
    seed: of the split; None is that of the run, and 0 where there is none.
    max_pixels: an image that says it has more is refused undecoded.
    cache_folder: where decoded images are kept; None is the user's cache folder.

    Raises ConfigError.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    source: str = DIGITS
    image_size: tuple[int, int] | None = None
    group_by: str | None = None
    label_column: str | None = None
    validation_share: float | None = None
    test_share: float | None = None
    seed: int | None = None
    max_pixels: int = MAX_PIXELS
    cache_folder: Path | None = None

    def __post_init__(self) -> None:
        if not self.source:
            raise ConfigError('the data source is empty; expected "digits" or the path of a data set')
        if self.image_size is not None and (len(self.image_size) != 2 or min(self.image_size) < 1):
            raise ConfigError(f"the image size must be (height, width), both at least 1, not {self.image_size}")
        for name in ("validation_share", "test_share"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 0.5:
                raise ConfigError(f"{name} must lie between 0 and 0.5, not {share}")
        if self.seed is not None and self.seed < 0:
            raise ConfigError(f"the seed of the split must be at least 0, not {self.seed}")
        if self.max_pixels < 1:
            raise ConfigError(f"max_pixels must be at least 1, not {self.max_pixels}")
