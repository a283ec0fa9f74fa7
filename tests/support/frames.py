"""Frames that show one side of a comparison, made of plain ones."""

from __future__ import annotations

from dataclasses import replace

from fmwidget.analysis.channel_stats import Array, channel_statistics
from fmwidget.analysis.contrast import Contrast
from fmwidget.pipeline.frame import Frame


def compared(frame: Frame, other: Array, side: str) -> Frame:
    """Return a frame of the maps of a plain one, named "cat", beside others, named "dog".

    Args:
        frame: The plain frame.
        other: Feature maps of the same shape.
        side: The side that is on screen: `"a"`, `"b"` or `"difference"`.
    """
    contrast = Contrast("cat", "dog", frame.maps, other)
    maps = {"a": contrast.a, "b": contrast.b, "difference": contrast.difference}[side]
    norm = "symmetric" if side == "difference" else frame.norm
    return replace(
        frame, maps=maps, statistics=channel_statistics(maps), norm=norm, contrast=contrast, side=side
    )
