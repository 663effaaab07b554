"""The rungs of successive halving: settings only."""

from dataclasses import dataclass

from pydantic import ConfigDict

from hwnas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rungs:
    """Where trainings are cut, ``shares`` of their budget, and which share of the children is kept there.

    ``latest``: how many of those that came to a rung one child is compared with where it cannot wait for its siblings.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    enabled: bool = False
    shares: tuple[float, ...] = (0.25, 0.5)
    keep: float = 0.5
    latest: int = 32

    def __post_init__(self) -> None:
        if not self.shares or list(self.shares) != sorted(set(self.shares)) or not 0 < self.shares[0] <= self.shares[-1] < 1:
            raise ConfigError(f"rungs are rising shares of a budget, between 0 and 1, such as 0.25, 0.5, got {self.shares}")
        if not 0 < self.keep < 1 or self.latest < 2:
            raise ConfigError(
                f"a rung keeps a share between 0 and 1 and compares at least 2, got keep={self.keep}, latest={self.latest}"
            )

    @property
    def trained_share(self) -> float:
        """What a generation is trained of its full budget: by default a half."""
        ends = (*self.shares, 1.0)
        return sum(self.keep**rung * (end - begin) for rung, (begin, end) in enumerate(zip((0.0, *ends), ends, strict=False)))
