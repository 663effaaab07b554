"""What a data set holds and what a search would do to it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from hwnas.api.search_options import SearchOptions
from hwnas.api.starting import configured
from hwnas.config import RunConfig

if TYPE_CHECKING:
    from hwnas.data import DataCard


def data_card(config: Mapping[str, Any] | RunConfig | None = None, **options: Unpack[SearchOptions]) -> "DataCard":
    """The card of the data that a search with this configuration and these options, as of ``configured``, would see.

    Raises ConfigError and DataError as that search would.

    Example: ``print(*hwnas.data_card(data="photos", image_size=(48, 48)).lines(), sep="\\n")``
    """
    from hwnas.data import default_augmentation, describe, load

    settings = configured(config, **options)
    data = load(settings.data_settings)
    return describe(data, settings.augmentation or default_augmentation(data), settings.metric)
