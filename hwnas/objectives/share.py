"""A share of images as per cent, with the interval that so few images leave."""

import math

Z_95 = 1.959963984540054  # the 97.5 % quantile of the normal distribution


def percent(share: float | None, decimals: int = 2) -> str:
    """A share as per cent; "" where nothing is known."""
    return "" if share is None else f"{share:.{decimals}%}".replace("%", " %")


def with_range(share: float | None, low: float | None, high: float | None) -> str:
    """``4.2 % (1.8-9.4)``: a share with the ends of its interval; two decimals where the interval is narrower than a point."""
    if share is None or low is None or high is None:
        return percent(share)
    decimals = 2 if high - low < 0.01 else 1
    return f"{percent(share, decimals)} ({low * 100:.{decimals}f}-{high * 100:.{decimals}f})"


def interval_95(share: float, images: int) -> tuple[float, float]:
    """The ends of the 95 % score interval [Wilson1927] of a share of ``images`` images that were looked at."""
    z2 = Z_95**2
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = Z_95 * math.sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return max(0.0, centre - half), min(1.0, centre + half)
