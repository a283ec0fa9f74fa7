"""A value of a convolution as tables: window times kernel for its largest channels, and the sum."""

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
LARGE = 5  # cells: kernels with a longer side are set in small type
DIGITS, FEWER_DIGITS, SUM_DIGITS = 3, 2, 5  # of cells, cells in small type, and sums
POSITIVE, NEGATIVE = "214, 96, 0", "33, 102, 210"  # red, green, blue; numbers have a sign too
DEEPEST = 0.5  # opacity of the largest number's colour: its text stays legible on light and dark pages
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def contribution_tables_html(
    parts: Contributions, value: Any, *, title: str, activation: str | None, follows: bool
) -> str:
    """Return the tables of one value.

    Args:
        parts: The terms of the value.
        value: The value in the map, a NumPy scalar.
        title: A title: its layer and position.
        activation: The name of the layer's activation function, if it has one.
        follows: Whether the activation follows the map, rather than being included in it.
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
    """Return window, kernel and product of one input channel, on one scale with the other channels shown."""
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
    """Return the sum of channels and bias, and the value that the activation makes of it."""
    sums = parts.by_channel
    lines = [(f"input channel {parts.channels[place]}", float(sums[place])) for place in shown]
    others = np.delete(sums, shown)
    if len(others):
        with np.errstate(all="ignore"):
            lines.append((f"{len(others)} other channels", float(others.sum())))
    if parts.bias is not None:
        lines.append(("bias", parts.bias))
    lines.append(("sum", parts.total))
    texts = _aligned([term for _, term in lines])
    *rows, total = (_line(name, text) for (name, _), text in zip(lines, texts, strict=True))
    rows.append(total.replace("<tr>", '<tr class="fmw-total">'))
    rows.append(
        _line(f"{activation}({number(parts.total)})", value_text(value))
        if activation and not follows
        else _line("value in the map" + (f", before {activation}" if activation else ""), value_text(value))
    )
    return f'<table class="fmw-numbers">{"".join(rows)}</table>'


def _aligned(numbers: list[float]) -> list[str]:
    """Write numbers with the same decimals, unless they are very large or small."""
    largest = _largest(np.array(numbers))
    magnitude = math.floor(math.log10(largest)) if largest else 0
    if not -5 < magnitude < 7:
        return [number(value) if np.isfinite(value) else digits(value, 0, 0) for value in numbers]
    return [digits(value, 0, max(0, SUM_DIGITS - 1 - magnitude)) for value in numbers]


def _line(name: str, text: str) -> str:
    return f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(text)}</td></tr>'


def scale(largest: float, count: int) -> tuple[int, int]:
    """Return a power of ten to factor out of numbers up to `largest`, and decimals for `count` digits."""
    if largest == 0:
        return 0, 0
    magnitude = math.floor(math.log10(largest))
    exponent = 0 if -2 < magnitude < 4 else 3 * (magnitude // 3)
    return exponent, max(0, count - 1 - max(magnitude - exponent, -1))


def digits(value: float, exponent: int, decimals: int) -> str:
    """Write a number over a power of ten, with so many decimals."""
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
