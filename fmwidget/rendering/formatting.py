"""What is said of the unit that is pointed at: where it is, and its value to the last digit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fmwidget.analysis.channel_stats import ChannelStatistics

    from .sampling import Unit


def value_text(value: Any) -> str:
    """An activation in as few digits as its type needs to be the same number when it is read again.

    Args:
        value: A scalar of numpy, of any type.

    Returns:
        Digits as Python reads them, `NaN`, `+inf` or `-inf`.
    """
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "+inf" if value > 0 else "-inf"
    return str(value)


def unit_text(maps: np.ndarray[Any, Any], unit: Unit | None) -> str:
    """A line about a unit that keeps its parts in place while row and column change; empty for `None`.

    Args:
        maps: Feature maps `(H, W, C)`.
        unit: One of their units.
    """
    if unit is None:
        return ""
    indices = (unit.row, unit.column, unit.channel)
    row, column, channel = (
        str(index).rjust(len(str(side - 1))) for index, side in zip(indices, maps.shape, strict=True)
    )
    return f"channel {channel}  row {row}  column {column}  value {value_text(maps[indices])}"


def channel_text(statistics: ChannelStatistics, channel: int) -> str:
    """A line about a channel as a whole, where no unit is pointed at."""
    width = len(str(len(statistics.min) - 1))
    return f"channel {channel:{width}}  {range_fact(statistics, channel)}"


def percent(share: float) -> str:
    """A share as people write it; only none is 0 % and only all is 100 %."""
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f} %".replace(".0 %", " %")


MINUS = "\N{MINUS SIGN}"


def number(value: float) -> str:
    """A number in four digits, as people write it."""
    text = f"{value + 0.0:.4g}"
    return _tidy(text) if "e" in text else text.replace("-", MINUS)


def shape_text(shape: Sequence[int]) -> str:
    """A shape as people write it: 148 × 148 × 32."""
    return " × ".join(map(str, shape))


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers evenly spaced from `low` to `high`; the two ends if there are not two."""
    span = high - low
    if not 1e-290 < span < 1e290:
        return [low, high]
    rough = span / most
    magnitude = 10.0 ** math.floor(math.log10(rough))
    for multiple in (1, 2, 5, 10):
        step = multiple * magnitude
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    ticks = [place * step for place in range(first, last + 1)]
    return ticks if len(ticks) > 1 else [low, high]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Labels with as many digits as tell neighbouring ticks apart."""
    largest = max(abs(tick) for tick in ticks)
    step = ticks[1] - ticks[0]
    if largest == 0 or not 0 < step < math.inf:
        return [number(tick) for tick in ticks]
    exponent = math.floor(math.log10(step) + 1e-9)
    is_round = any(math.isclose(step, multiple * 10.0**exponent, rel_tol=1e-6) for multiple in (1, 2, 5))
    decimals = -exponent if is_round else 2 - exponent
    if 1e-3 <= largest < 1e5 and decimals <= 6:
        return [f"{tick + 0.0:.{max(0, decimals)}f}".replace("-", MINUS) for tick in ticks]
    digits = min(6, math.floor(math.log10(largest)) + decimals)
    labels = [f"{tick + 0.0:.{digits}e}" for tick in ticks]
    return [_tidy(label) for label in labels]


def _tidy(label: str) -> str:
    """`1.0e-05` as `1e−5`."""
    mantissa, exponent = label.split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return (mantissa if float(mantissa) == 0 else f"{mantissa}e{int(exponent)}").replace("-", MINUS)


def range_fact(statistics: ChannelStatistics, channel: int) -> str:
    """What values a channel has, in words."""
    low, high = statistics.min[channel], statistics.max[channel]
    if statistics.inactive[channel]:
        return "inactive: zero everywhere"
    if np.isnan(low):
        return "no finite value"
    return f"{number(low)} everywhere" if low == high else f"min {number(low)} · max {number(high)}"
