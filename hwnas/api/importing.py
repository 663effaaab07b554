"""What a search would take of a network from outside: ``hwnas import``."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwnas.experiment.inspection import Inspection
    from hwnas.importing import Given


def inspect(
    model: "Given",
    *,
    weights: str | os.PathLike[str] | None = None,
    data: str | None = None,
    image_size: tuple[int, int] | str | None = None,
    normalisation: tuple[float, ...] | str | None = None,
    validation: str | None = None,
) -> "Inspection":
    """What would be taken of a network: its layers, cost, which of its channels can be pruned, and that it computes the same.

    ``model`` and ``weights`` are what ``start`` takes; the others mean what they mean in a search. Without ``data`` the images
    have the size that the network says, or ``image_size``. Raises ModelError, ConfigError, DataError.

    Example: ``hwnas.inspect("timm:mobilenetv3_small_100", data="photos")``
    """
    from hwnas.api.options import merged_config
    from hwnas.experiment.inspection import inspect as inspected
    from hwnas.importing import NetworkSource

    options = {"data": data, "image_size": image_size, "normalisation": normalisation, "validation": validation}
    settings = merged_config({}, {name: value for name, value in options.items() if value is not None}).data_settings
    size = settings.image_size if data is None else None
    return inspected(NetworkSource(given=model, weights=weights), None if data is None else settings, size)


def inspected_json(found: "Inspection") -> dict[str, Any]:
    """What was found as JSON can hold it, in Python's types; logits' differences and errors included."""
    from pydantic import TypeAdapter

    from hwnas.experiment.inspection import Inspection

    content: dict[str, Any] = TypeAdapter(Inspection).dump_python(found, mode="json")
    return content


def inspected_facts(found: "Inspection") -> dict[str, str]:
    """What there is to say of it, by name."""
    from hwnas.experiment.inspection import in_words

    return dict(in_words(found))
