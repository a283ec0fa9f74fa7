"""A value of a convolution as tables: window times kernel for the channels that matter most, and the sum."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fmwidget.rendering.formatting import MINUS, number, shape_text, value_text

if TYPE_CHECKING:
    from fmwidget.analysis.contributions import Contributions

Array = np.ndarray[Any, Any]

SHOWN = 3  # channels with tables of their own; one more rather than "1 other channel"
LARGE = 5  # a kernel with a longer side has its numbers set small
DIGITS, FEWER_DIGITS, SUM_DIGITS = 3, 2, 5
POSITIVE, NEGATIVE = "214, 96, 0", "33, 102, 210"  # the sign is written too
DEEPEST = 0.5  # opacity of the largest number's colour: its text stays legible on light and dark pages
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def contribution_tables_html(
    parts: Contributions, value: Any, *, title: str, activation: str | None, follows: bool
) -> str:
    """The tables of one value.

    Args:
        parts: The value, taken apart.
        value: The value that its map shows, a scalar of numpy.
        title: Where it is, in words.
        activation: The name of the layer's activation function, if it has one.
        follows: Whether the map is the one before the activation.
    """
    order = np.argsort(-np.abs(np.nan_to_num(parts.by_channel, nan=np.inf)), kind="stable")
    shown = order[: SHOWN if len(order) > SHOWN + 1 else len(order)]
    height, width, count = parts.kernel.shape
    over = f"{count} input channels" if count > 1 else f"input channel {parts.channels[0]}"
    layers = [("window", parts.window), ("kernel", parts.kernel), ("product", parts.products)]
    tables = "".join(_channel(parts, int(place), layers, shown) for place in shown)
    steps = _sum(parts, shown, value, activation=activation, follows=follows)
    return (
        f'<div class="fmw-terms"><div class="fmw-caption"><b>{html.escape(title)}</b><br>'
        f"a window of {shape_text((height, width))} in {over}, times the kernel"
        f"{'' if parts.bias is None else ', and the bias'}</div>"
        f"<div>{tables}</div>{steps}</div>"
    )


def _channel(parts: Contributions, place: int, layers: list[tuple[str, Array]], shown: Array) -> str:
    """Window, kernel and product of one input channel, each on one scale with the other channels shown."""
    channel = parts.channels[place]
    everywhere = np.ones_like(parts.inside)
    grids = [
        _grid(
            name,
            array[:, :, place],
            everywhere if name == "kernel" else parts.inside,
            _largest(array[:, :, shown]),
        )
        for name, array in layers
    ]
    return (
        f'<div class="fmw-caption">input channel {channel}</div>'
        f'<div class="fmw-term">{grids[0]}<span>×</span>{grids[1]}<span>=</span>{grids[2]}</div>'
    )


def _grid(name: str, numbers: Array, inside: Array, largest: float) -> str:
    is_large = max(numbers.shape) > LARGE
    exponent, decimals = scale(largest, FEWER_DIGITS if is_large else DIGITS)
    cells = np.full(numbers.shape, '<td class="fmw-outside" title="beyond the edge">0</td>', object)
    for place in zip(*np.nonzero(inside), strict=True):
        value = float(numbers[place])
        depth = abs(value) / largest * DEEPEST if largest and np.isfinite(value) else 0.0
        colour = f"rgba({POSITIVE if value > 0 else NEGATIVE}, {depth:.2f})"
        text = digits(value, exponent, decimals)
        cells[place] = f'<td style="background: {colour}" title="{number(value)}">{text}</td>'
    rows = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
    caption = f"{name} × {_power(exponent)}" if exponent else name
    kind = "fmw-cells fmw-small" if is_large else "fmw-cells"
    return f'<table class="{kind}"><caption>{caption}</caption>{rows}</table>'


def _sum(parts: Contributions, shown: Array, value: Any, *, activation: str | None, follows: bool) -> str:
    """What the channels and the bias add up to, and what becomes of it."""
    sums = parts.by_channel
    lines = [(f"input channel {parts.channels[place]}", float(sums[place])) for place in shown]
    others = np.delete(sums, shown)
    if len(others):
        with np.errstate(all="ignore"):
            lines.append((f"{len(others)} other channels", float(others.sum())))
    if parts.bias is not None:
        lines.append(("bias", parts.bias))
    lines.append(("sum", parts.total))
    texts = _in_line([each for _, each in lines])
    *rows, total = (_line(name, text) for (name, _), text in zip(lines, texts, strict=True))
    rows.append(total.replace("<tr>", '<tr class="fmw-total">'))
    rows.append(
        _line(f"{activation}({number(parts.total)})", value_text(value))
        if activation and not follows
        else _line("value in the map" + (f", before {activation}" if activation else ""), value_text(value))
    )
    return f'<table class="fmw-numbers">{"".join(rows)}</table>'


def _in_line(numbers: list[float]) -> list[str]:
    """Numbers to be read below each other: with the same decimals, unless they are very large or small."""
    largest = _largest(np.array(numbers))
    magnitude = math.floor(math.log10(largest)) if largest else 0
    if not -5 < magnitude < 7:
        return [number(each) if np.isfinite(each) else digits(each, 0, 0) for each in numbers]
    return [digits(each, 0, max(0, SUM_DIGITS - 1 - magnitude)) for each in numbers]


def _line(name: str, text: str) -> str:
    return f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(text)}</td></tr>'


def scale(largest: float, count: int) -> tuple[int, int]:
    """The power of ten to take out of numbers up to `largest`, and the decimals that leave so many digits."""
    if largest == 0:
        return 0, 0
    magnitude = math.floor(math.log10(largest))
    exponent = 0 if -2 < magnitude < 4 else 3 * (magnitude // 3)
    return exponent, max(0, count - 1 - max(magnitude - exponent, -1))


def digits(value: float, exponent: int, decimals: int) -> str:
    """A number with a power of ten taken out, in so many decimals."""
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value / 10.0**exponent + 0.0:.{decimals}f}"
    return text.replace("-", "" if float(text) == 0 else MINUS)


def _power(exponent: int) -> str:
    return f"10{str(exponent).translate(SUPERSCRIPT)}"


def _largest(numbers: Array) -> float:
    return float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0))
