"""Page of a depth profile: rows of bars, with one column per layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .canvas import FAINT, STRONG, Page
from .charts.layer_bars import (
    FACTS_LINE,
    NAMES_HEIGHT,
    BarLayout,
    BarRow,
    bar_layout,
    draw_bars,
    write_title,
)
from .formatting import number, percent, shape_text
from .grid_layout import MARGIN, PAGE_WIDTH
from .palette import NAN

if TYPE_CHECKING:
    from fmwidget.analysis.channel_stats import Array
    from fmwidget.analysis.depth_profile import DepthProfile

SCALES = (0.05, 0.1, 0.25, 0.5, 1.0)  # shares at the top of a row


def profile_layout(profile: DepthProfile, width: int = PAGE_WIDTH, *, titled: bool = False) -> BarLayout:
    """Lay out a profile on a page.

    Args:
        profile: The depth profile.
        width: Width of the page in CSS pixels.
        titled: Whether there are two lines of title above the rows.
    """
    return bar_layout(_rows(profile), width, (FACTS_LINE if titled else 0) + MARGIN)


def draw_profile(
    profile: DepthProfile, width: int = PAGE_WIDTH, ratio: int = 1, *, title: str | None = None
) -> Page:
    """Draw a depth profile: inactive channels, zeros, mean activation and resolution of every layer.

    Where there are more layers than pixels, the highest bar of each pixel is drawn.

    Args:
        profile: The depth profile.
        width: Width of the page in CSS pixels.
        ratio: Device pixels per CSS pixel.
        title: Title above a line that describes the profile; `None` for neither.
    """
    layout = profile_layout(profile, width, titled=title is not None)
    page = Page(width, layout.plot.y + layout.plot.height + NAMES_HEIGHT + MARGIN, ratio)
    if title is not None:
        write_title(page, title, profile_in_words(profile))
    draw_bars(page, layout, _rows(profile), profile.paths, {NAN: profile.not_finite > 0})
    return page


def profile_in_words(profile: DepthProfile) -> str:
    """Describe a profile: the layer with most channels inactive, and the first with NaN or infinities."""
    count, most = len(profile.paths), int(np.argmax(profile.inactive))
    text = f"{count} {'layer' if count == 1 else 'layers'}"
    if profile.pictures > 1:
        text += f", mean of {profile.pictures} pictures"
    if profile.inactive[most] > 0:
        text += f": most channels inactive in {profile.paths[most]} ({percent(profile.inactive[most])})"
    else:
        text += ": no channel inactive in any of them"
    not_finite = np.flatnonzero(profile.not_finite)
    if not_finite.size:
        first = profile.paths[not_finite[0]]
        text += f" · NaN or infinite values in {not_finite.size}, first in {first}"
    return text


def layer_in_words(profile: DepthProfile, layer: int) -> str:
    """Describe one layer of a profile."""
    height, width, channels = profile.shapes[layer]
    facts = [
        f"{percent(profile.inactive[layer])} of {channels} channels inactive",
        f"{percent(profile.zeros[layer])} zeros",
        f"mean {number(profile.mean[layer])}" if np.isfinite(profile.mean[layer]) else "no finite value",
        shape_text((height, width)),
    ]
    if profile.not_finite[layer]:
        facts.append(f"{profile.not_finite[layer]} values NaN or infinite")
    return f"{profile.paths[layer]}: {', '.join(facts)}"


def _rows(profile: DepthProfile) -> tuple[BarRow, ...]:
    means = np.where(np.isfinite(profile.mean), profile.mean, 0)
    low, high = min(0.0, float(means.min())), max(0.0, float(means.max()))
    span = high - low or 1.0
    with np.errstate(all="ignore"):  # float64 means may be too far apart to subtract
        positions = (means - low) / span
    sides = np.sqrt(profile.shapes[:, 0].astype(float) * profile.shapes[:, 1])
    largest = shape_text(profile.shapes[int(np.argmax(sides))][:2])
    return (
        _share_row("inactive channels", profile.inactive, ink=STRONG),
        _share_row("zeros", profile.zeros),
        BarRow("mean activation", positions, ((number(high), 1), (number(low), 0)), zero=-low / span),
        BarRow("size (log scale)", np.log2(sides + 1) / np.log2(sides.max() + 1), ((largest, 1), ("", 0))),
    )


def _share_row(title: str, shares: Array, ink: float = FAINT) -> BarRow:
    top = next(scale for scale in SCALES if shares.max() <= scale)
    return BarRow(title, shares / top, ((percent(top), 1), ("0", 0)), ink=ink)
