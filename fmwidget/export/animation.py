"""Films: one layer after another, or one channel after another, as an animated picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from fmwidget._errors import did_you_mean
from fmwidget.pipeline import Array, DisplayContext, FramePipeline, ViewState
from fmwidget.rendering.canvas import Page
from fmwidget.rendering.feature_grid import draw_channel, draw_grid
from fmwidget.rendering.palette import PAPER

WRITERS: dict[str, dict[str, Any]] = {
    ".gif": {"format": "GIF", "optimize": False},  # or frames get palettes of their own
    ".png": {"format": "PNG"},
    ".webp": {"format": "WEBP", "lossless": True},
}
SLOWEST, FASTEST = 0.05, 50.0  # frames a second; browsers take a GIF that is faster for a slow one
MOST_BYTES = 256 * 2**20  # of frames, a byte for each pixel: whoever writes the file needs all of them


def check_file(file: str | os.PathLike[str]) -> None:
    """Checks that an animated picture can be saved under a name.

    Raises:
        TypeError: If it is no path.
        ValueError: If its suffix is that of another kind of file.
    """
    if not isinstance(file, str | os.PathLike):
        raise TypeError(f"`file` must be a path, such as 'depth.gif'. Received {type(file).__name__}.")
    suffix = Path(file).suffix.lower()
    if suffix not in WRITERS:
        received = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise ValueError(
            f"A film is saved as {', '.join(WRITERS)}. Received {received} in {os.fspath(file)!r}."
        )
    if suffix == ".webp" and not features.check("webp"):
        raise ValueError("The Pillow installed here writes no WebP. Use the suffix '.gif' or '.png'.")


def frame_rate(count: int, fps: float | None, seconds: float | None) -> float:
    """Frames a second, from that or from how long `count` frames take; 2 if neither is given.

    Raises:
        ValueError: If both are given, or the film would be too slow or too fast.
    """
    if fps is not None and seconds is not None:
        raise ValueError("Pass `fps`, or `seconds` for the whole film, not both.")
    if seconds is not None:
        fps = count / seconds if seconds > 0 else 0.0
    fps = 2.0 if fps is None else fps
    if not SLOWEST <= fps <= FASTEST:
        raise ValueError(
            f"A film shows {SLOWEST} to {FASTEST:.0f} frames a second. Received "
            f"{f'fps={fps}' if seconds is None else f'seconds={seconds} for {count} frames'}."
        )
    return fps


def animation_steps(
    pipeline: FramePipeline, state: ViewState, by: str, only: Iterable[Any] | None
) -> tuple[Any, ...]:
    """The layers' paths or the channels' numbers that a film goes through.

    Args:
        pipeline: Knows what there is.
        state: What is looked at.
        by: `"layers"`, in the order data flows, those before an activation left out; or `"channels"`, in
            the order they are shown.
        only: The ones to go through instead, in this order.

    Raises:
        ValueError: If one of them does not exist, or there are none.
    """
    known: Sequence[Any]
    usual: Sequence[Any]
    if by == "layers":
        layers = pipeline.layers(state)
        known, usual = [each.path for each in layers], [each.path for each in layers if each.after is None]
    elif by == "channels":
        known = usual = pipeline.order(state)
    else:
        raise ValueError(f"A film goes by 'layers' or by 'channels'. Received by={by!r}.")
    wanted = tuple(usual if only is None else only)
    for each in wanted:
        if each not in known:
            hint = f"There are {len(known)} of them, counted from 0."
            if by == "layers":
                hint = did_you_mean(each, map(str, known), "`.layers` lists them.")
            raise ValueError(f"There is no {by[:-1]} {each!r}. {hint}")
    if not wanted:
        raise ValueError(f"Received no {by} to go through.")
    return wanted


def animation_pages(
    pipeline: FramePipeline, state: ViewState, display: DisplayContext, by: str, stops: Iterable[Any]
) -> Iterator[Page]:
    """The page of each stop, drawn when it is asked for, at one device pixel to a CSS pixel."""
    display = replace(display, ratio=1.0)
    for stop in stops:
        if by == "channels":
            frame = pipeline.frame(replace(state, channel=stop), display)
            title = f"{frame.layer.path}  channel {stop}"
            yield draw_channel(frame.maps, stop, frame.statistics, title=title, norm=frame.norm)
            continue
        there = replace(state, layer=stop)
        channel = min(state.channel, pipeline.maps(there).shape[-1] - 1)
        page = pipeline.layout(there, display).page_of(channel)
        frame = pipeline.frame(replace(there, channel=channel, page=page), display)
        yield draw_grid(
            frame.layout,
            frame.maps,
            frame.statistics,
            path=frame.layer.path,
            type_name=frame.layer.type_name,
            norm=frame.norm,
            page=frame.page,
        )


def save_animation(
    file: str | os.PathLike[str], pages: Iterable[Page], count: int, colours: Array, fps: float
) -> None:
    """Writes pages as an animated picture that runs again and again, all in the same colours.

    Pages that are smaller than others lie in the upper left corner of the paper.

    Args:
        file: Where to; see `check_file`.
        pages: The pages.
        count: How many there are.
        colours: What `palette` returned.
        fps: Pages a second.

    Raises:
        ValueError: If they would take too much memory.
    """
    frames: list[Array] = []
    for page in pages:
        frames.append(page.composed())
        if frames[-1].size * count > MOST_BYTES:
            raise ValueError(
                f"{count} frames of {page.width} × {page.height} pixels are more than the "
                f"{MOST_BYTES // 2**20} MiB that a film may take. Pass fewer of them as `only`."
            )
    height, width = (max(frame.shape[axis] for frame in frames) for axis in (0, 1))

    def picture(frame: Array) -> Image.Image:
        padded = np.full((height, width), PAPER, np.uint8)
        padded[: frame.shape[0], : frame.shape[1]] = frame
        image = Image.fromarray(padded)
        image.putpalette(colours.tobytes())
        return image

    first, *others = [picture(frames.pop(0)) for _ in range(count)]  # none is held twice
    options = {**WRITERS[Path(file).suffix.lower()], "loop": 0, "duration": round(1000 / fps)}
    first.save(file, save_all=True, append_images=others, **options)
