"""What a fault campaign is asked to do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypedDict, cast, get_args

from hwnas.errors import ConfigError
from hwnas.resilience import BitFaultModel, Burst, FaultKind, Single

Target = Literal["weights", "activations"]
FaultName = Literal["single", "ber", "stuck-at", "burst"]
DataFormat = Literal["float32", "float16", "bfloat16", "int8", "log8"]
DEFAULT_BERS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
LEAST_BER = 1e-12  # far below it, how many bits flip where one does is beyond double precision


NUMBERS = ("half_width", "seed", "images", "burst", "max_faults")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSettings:
    """Settings of one campaign on one network.

    fault: "single" flips one bit, "stuck-at" holds one at 0 or 1, "burst" flips `burst` adjacent bits of a word, "ber" flips
        each bit with a probability, one of `bers` (of weights: for all images; of activations: for each image separately).
    half_width: of the 95 % interval to stop at, in points of accuracy: of the mean drop of one fault, or of the area under the
        accuracy-BER curve (1 point is 0.01 of it).
    images: in a micro-batch, all of which meet every fault. Under one fault they agree (correlation 0.7): 50 instead of 25 narrow
        the interval by 0.4 %. max_faults: behind as many no batch begins (of 64; of activations, 512), whatever the width;
        a campaign continues where a larger number is asked for.

    Raises ConfigError.
    """

    target: Target = "weights"
    fault: FaultName = "single"
    dtype: DataFormat = "float32"
    bers: tuple[float, ...] = DEFAULT_BERS
    half_width: float = 0.5
    seed: int = 0
    images: int = 25
    burst: int = 2
    max_faults: int = 100_000

    def __post_init__(self) -> None:
        for name, known in (("target", Target), ("fault", FaultName), ("dtype", DataFormat)):
            if getattr(self, name) not in get_args(known):
                raise ConfigError(f"expected a {name} among {', '.join(get_args(known))}, got {getattr(self, name)!r}")
        if any(not LEAST_BER <= ber <= 1 for ber in self.bers):
            raise ConfigError(
                f"a bit error rate lies between {LEAST_BER:g}, where nothing is hit, and 1, got "
                f"{', '.join(map(str, self.bers))}; try 1e-6"
            )
        if self.fault == "ber" and (len(set(self.bers)) < 2 or list(self.bers) != sorted(set(self.bers))):
            raise ConfigError(f"a curve needs two or more bit error rates in ascending order, got {self.bers}; try 1e-6,1e-4")
        if not (math.isfinite(self.half_width) and self.half_width > 0) or self.seed < 0:
            raise ConfigError(f"expected a half-width above 0 and a seed from 0, got {self.half_width} and {self.seed}")
        if self.images < 2 or self.burst < 1 or self.max_faults < 1:
            raise ConfigError(
                f"expected 2 images or more, a burst and a number of faults from 1, got {self.images}, {self.burst}, "
                f"{self.max_faults}"
            )

    def models(self) -> tuple[BitFaultModel, ...]:
        """The fault models that one drawn bit may meet; where there are several, the bit's own number decides."""
        match self.fault:
            case "stuck-at":
                return (Single(kind=FaultKind.STUCK_AT_0), Single(kind=FaultKind.STUCK_AT_1))
            case "burst":
                return (Burst(length=self.burst),)
            case _:
                return (Single(),)

    def identity(self) -> dict[str, Any]:
        """What two parts of one campaign must share: what decides which faults are drawn, and what they are."""
        others = {name for fault, name in (("ber", "bers"), ("burst", "burst")) if fault != self.fault}
        return {name: value for name, value in asdict(self).items() if name not in {"half_width", "max_faults"} | others}


class FaultOptions(TypedDict, total=False):
    """The keys of FaultSettings as options of a call; ``bers`` may be text such as "1e-6,1e-5"."""

    target: Target
    dtype: DataFormat
    bers: str | Sequence[float]
    half_width: float
    seed: int
    images: int
    burst: int
    max_faults: int


def fault_settings(given: Mapping[str, Any], faults: Sequence[str]) -> tuple[FaultSettings, tuple[FaultName, ...]]:
    """Settings and fault models as a user gives them; ``bers`` may be text such as "1e-6,1e-5", in any order.

    Raises ConfigError.
    """
    known = {field.name for field in fields(FaultSettings)} - {"fault"}
    unknown = [name for name in given if name not in known]
    wrong = [fault for fault in faults if fault not in get_args(FaultName)]
    if unknown or wrong or not faults:
        raise ConfigError(
            f"unknown {', '.join([*unknown, *wrong]) or 'fault models: none'}; fault models are "
            f"{', '.join(get_args(FaultName))}, settings {', '.join(sorted(known))}"
        )
    alike = [fault for fault in dict.fromkeys(faults) if fault != "ber"]
    if len(alike) > 1:
        raise ConfigError(f"{' and '.join(alike)} fill the same figures; ask for one of them at a time, with ber or without it")
    given = dict(given)
    if isinstance(given.get("bers"), str):
        try:
            given["bers"] = tuple(sorted({float(part) for part in given["bers"].split(",")}))
        except ValueError:
            raise ConfigError(f"expected bit error rates such as 1e-6,1e-5, got {given['bers']!r}") from None
    for name, value in given.items():
        if name in NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ConfigError(f"{name} must be a number, got {value!r}")
    settings = [FaultSettings(**given, fault=cast(FaultName, fault)) for fault in faults]  # each is checked
    return settings[0], tuple(cast(FaultName, fault) for fault in dict.fromkeys(faults))
