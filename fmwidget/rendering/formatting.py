"""What is said of the unit that is pointed at: where it is, and its value to the last digit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .feature_grid import range_fact

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
