"""Numbers, shapes, shares and statistics as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fmwidget.analysis.channel_stats import Array, ChannelStatistics
    from fmwidget.analysis.contrast import Contrast

    from .sampling import Unit

MINUS = "\N{MINUS SIGN}"


# ------------------------------------------------------------------ numbers


def number(value: float) -> str:
    """Format a number in four significant digits, with a minus sign: −0.01371, 1.5e−5."""
    text = f"{value + 0.0:.4g}"
    return _tidy_exponent(text) if "e" in text else text.replace("-", MINUS)


def percent(share: float) -> str:
    """Format a share in three significant digits; only none is 0 % and only all is 100 %."""
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.3g} %"


def shape_text(shape: Sequence[int]) -> str:
    """Format a shape: 148 × 148 × 32."""
    return " × ".join(map(str, shape))


def value_text(value: Any) -> str:
    """Format an activation in the fewest digits that are read back as the same number.

    Args:
        value: A numpy scalar of any type.

    Returns:
        Digits as Python reads them, `NaN`, `+inf` or `-inf`.
    """
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "+inf" if value > 0 else "-inf"
    return str(value)


def short_value_text(value: Any) -> str:
    """Format an activation in four significant digits, or as NaN or ±inf."""
    return number(float(value)) if np.isfinite(value) else value_text(value).replace("-", MINUS)


# ------------------------------------------------------------------ ticks


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` evenly spaced round numbers from `low` to `high`, or these two ends."""
    span = high - low
    if not 1e-290 < span < 1e290:  # powers of ten and multiples of the step stay in the range of floats
        return [low, high]
    rough = span / most
    magnitude = 10.0 ** math.floor(math.log10(rough))
    for multiple in (1, 2, 5, 10):
        step = multiple * magnitude
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    ticks = [count * step for count in range(first, last + 1)]
    return ticks if len(ticks) > 1 else [low, high]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Return labels with as many digits as neighbouring ticks need to differ."""
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
    return [_tidy_exponent(f"{tick + 0.0:.{digits}e}") for tick in ticks]


def _tidy_exponent(label: str) -> str:
    """Write `1.0e-05` as `1e−5`."""
    mantissa, exponent = label.split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return (mantissa if float(mantissa) == 0 else f"{mantissa}e{int(exponent)}").replace("-", MINUS)


# ------------------------------------------------------------------ channels and units


SIDE_NAMES = {"a": "A", "b": "B", "difference": f"A {MINUS} B"}
# The words for a map, and for the difference of two, that is zero everywhere.
INACTIVE_WORD, EQUAL_WORD = "inactive", "equal"


def range_fact(statistics: ChannelStatistics, channel: int, inactive_word: str = INACTIVE_WORD) -> str:
    """Describe the range of a channel's values."""
    low, high = statistics.min[channel], statistics.max[channel]
    if statistics.inactive[channel]:
        return f"{inactive_word}: zero everywhere"
    if np.isnan(low):
        return "no finite value"
    return f"{number(low)} everywhere" if low == high else f"min {number(low)} · max {number(high)}"


def inactive_fact(statistics: ChannelStatistics, total: str, inactive_word: str = INACTIVE_WORD) -> str:
    """Count the inactive channels of a layer, and the constant ones if there are any.

    Args:
        statistics: Statistics of the layer's maps.
        total: The whole that they are counted out of: `"of 32 channels"`, `"of them"`.
        inactive_word: The word for a map that is zero everywhere.
    """
    constant = np.count_nonzero(statistics.constant)
    text = f"{np.count_nonzero(statistics.inactive)} {total} {inactive_word}"
    return f"{text}, {constant} constant" if constant else text


def channel_text(statistics: ChannelStatistics, channel: int, inactive_word: str = INACTIVE_WORD) -> str:
    """Return the readout line of a channel when no unit is selected."""
    width = len(str(len(statistics.min) - 1))
    return f"channel {channel:{width}}  {range_fact(statistics, channel, inactive_word)}"


def unit_text(
    maps: Array, unit: Unit | None, contrast: Contrast | None = None, *, is_narrow: bool = False
) -> str:
    """Return the readout line of a unit, padded so that its parts stay in place; empty for `None`.

    Args:
        maps: Feature maps `(H, W, C)`.
        unit: The unit.
        contrast: The maps of both sides of a comparison, whose values are shown instead.
        is_narrow: Whether the three values have to fit below a single map, whose title names the channel.
    """
    if unit is None:
        return ""
    indices = (unit.row, unit.column, unit.channel)
    row, column, channel = (
        str(index).rjust(len(str(side - 1))) for index, side in zip(indices, maps.shape, strict=True)
    )
    place = f"channel {channel}  row {row}  column {column}"
    if contrast is None:
        return f"{place}  value {value_text(maps[indices])}"
    if is_narrow:
        place = f"({row}, {column})"
    sides = (contrast.a, contrast.b, contrast.difference)
    values = (short_value_text(side[indices]) for side in sides)
    return f"{place}  {' · '.join(map(' '.join, zip(SIDE_NAMES.values(), values, strict=True)))}"
