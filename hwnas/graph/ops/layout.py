"""How the channels of an operation's output follow from those of its inputs: the closed set of answers.

What may grow or shrink together is worked out from these by ``hwnas.morphism.channel_groups``; no one asks which operation it is.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Makes:
    """New channels of its own.

    ``filters`` are its tensors with one entry a new channel along axis 0, ``reads`` those with one entry a channel (or element)
    of the input along axis 1.
    """

    filters: tuple[str, ...]
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """The channels of its input; ``tensors`` are its own with one entry a channel along axis 0."""

    tensors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ties:
    """The channels of each of its inputs, one by one: they are the same channels."""


@dataclass(frozen=True, slots=True)
class Joins:
    """The channels of its inputs, one input after the other."""


@dataclass(frozen=True, slots=True)
class Spreads:
    """A vector in which each channel of the input has become a block of elements."""


@dataclass(frozen=True, slots=True)
class Pins:
    """Channels whose number is fixed, and so is that of the channels that it reads."""


Layout: TypeAlias = Makes | Passes | Ties | Joins | Spreads | Pins
