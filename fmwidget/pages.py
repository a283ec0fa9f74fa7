"""The pages of a frame: the grid of its layer's feature maps, and its chosen channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmwidget.rendering.feature_grid import draw_channel, draw_grid
from fmwidget.rendering.formatting import EQUAL_WORD, INACTIVE_WORD
from fmwidget.rendering.grid_layout import DETAIL_BOX

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmwidget.rendering.canvas import Page

    from .pipeline.frame import Frame


def grid_page(frame: Frame, ratio: int | None = None, *, draw: Callable[..., Page] = draw_grid) -> Page:
    """Draw the frame's page of the grid of feature maps.

    Args:
        frame: The frame.
        ratio: Device pixels per CSS pixel; the frame's if `None`.
        draw: `draw_grid`, or a memo of it: a new frame that differs in its colormap alone has the same page.
    """
    return draw(
        frame.layout,
        frame.maps,
        frame.statistics,
        path=frame.layer.path,
        type_name=frame.layer.type_name,
        norm=frame.norm,
        page=frame.page,
        ratio=frame.ratio if ratio is None else ratio,
        **_words_and_scale(frame),
    )


def channel_page(
    frame: Frame,
    box: int = DETAIL_BOX,
    ratio: int | None = None,
    *,
    title: str | None = None,
    tight: bool = False,
    draw: Callable[..., Page] = draw_channel,
) -> Page:
    """Draw the frame's chosen channel, with a colour bar.

    Args:
        frame: The frame.
        box: Side in CSS pixels of the square that the map is fitted into.
        ratio: Device pixels per CSS pixel; the frame's if `None`.
        title: The title; the channel's index if `None`.
        tight: Whether the page ends where the map does; otherwise its size is the same for all maps.
        draw: `draw_channel`, or a memo of it, as in `grid_page`.
    """
    return draw(
        frame.maps,
        frame.channel,
        frame.statistics,
        title=title,
        norm=frame.norm,
        box=box,
        tight=tight,
        ratio=frame.ratio if ratio is None else ratio,
        **_words_and_scale(frame),
    )


def inactive_word(frame: Frame) -> str:
    """Return the word for a map of the frame that is zero everywhere."""
    return EQUAL_WORD if frame.side == "difference" else INACTIVE_WORD


def _words_and_scale(frame: Frame) -> dict[str, Any]:
    return {
        "scale": frame.scale,
        "scale_note": frame.scale_note,
        "notes": frame.notes,
        "inactive_word": inactive_word(frame),
    }
