"""Animations: one layer, channel or step of training after another, as GIF, APNG or WebP."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from fmwidget._errors import did_you_mean
from fmwidget.analysis.channel_stats import Array
from fmwidget.pages import channel_page, grid_page
from fmwidget.pipeline.frame import DisplayContext, ViewState
from fmwidget.pipeline.frame_pipeline import FramePipeline
from fmwidget.rendering.canvas import Page
from fmwidget.rendering.palette import PAPER, cmap_for, palette

WRITERS: dict[str, dict[str, Any]] = {
    ".gif": {"format": "GIF", "optimize": False},  # or Pillow gives each frame a palette of its own
    ".png": {"format": "PNG"},
    ".webp": {"format": "WEBP", "lossless": True},
}
SLOWEST, FASTEST = 0.05, 50.0  # frames a second; browsers slow down a GIF that is faster
DEFAULT_RATE = 2.0  # frames a second
MOST_BYTES = 256 * 2**20  # of all frames, at a byte per pixel: Pillow needs them all in memory


def save_animation(
    file: str | os.PathLike[str],
    pipeline: FramePipeline,
    state: ViewState,
    display: DisplayContext,
    *,
    by: str = "layers",
    only: Iterable[str | int] | None = None,
    fps: float | None = None,
    seconds: float | None = None,
) -> None:
    """Save an animation of a view that repeats without end.

    Args:
        file: The path; see `validate_animation_path`.
        pipeline: The pipeline that computes the frames.
        state: The view.
        display: The display context; an animation has one device pixel per CSS pixel.
        by: `"layers"` for a grid of each layer, `"channels"` for each map of the chosen layer, `"steps"` for
            its grid at each step of training.
        only: Layer paths, channel indices or steps to animate instead of all; see `animation_steps`.
        fps: Frames a second.
        seconds: Duration of the whole animation, instead of `fps`.

    Raises:
        TypeError: If `file` is not a path, or `only` not a sequence.
        ValueError: If another argument is out of range, or the frames would take too much memory.
    """
    validate_animation_path(file)
    pipeline.check_weights()
    steps = animation_steps(pipeline, state, display, by, only)
    rate = frame_rate(len(steps), fps, seconds)
    colours = palette(cmap_for(_norm(state), state.cmap), dark=display.dark)
    first, *others = _images(animation_pages(pipeline, state, display, by, steps), len(steps), colours)
    options = {**WRITERS[Path(file).suffix.lower()], "loop": 0, "duration": round(1000 / rate)}
    first.save(file, save_all=True, append_images=others, **options)


def validate_animation_path(file: str | os.PathLike[str]) -> None:
    """Raise an error unless an animation can be saved at a path.

    Raises:
        TypeError: If `file` is not a path.
        ValueError: If its suffix is not that of a supported format.
    """
    if not isinstance(file, str | os.PathLike):
        raise TypeError(f"`file` must be a path, such as 'depth.gif'. Received {type(file).__name__}.")
    suffix = Path(file).suffix.lower()
    if suffix not in WRITERS:
        received = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise ValueError(
            f"An animation is saved as {', '.join(WRITERS)}. Received {received} in {os.fspath(file)!r}."
        )
    if suffix == ".webp" and not features.check("webp"):
        raise ValueError("The installed Pillow cannot write WebP. Use the suffix '.gif' or '.png'.")


def frame_rate(count: int, fps: float | None, seconds: float | None) -> float:
    """Return the frames a second of an animation of `count` frames; 2 if neither rate nor duration is given.

    Raises:
        ValueError: If both are given, or the animation would be too slow or too fast.
    """
    if fps is not None and seconds is not None:
        raise ValueError("Pass `fps`, or `seconds` for the whole animation, not both.")
    if seconds is not None:
        fps = count / seconds if seconds > 0 else 0.0
    fps = DEFAULT_RATE if fps is None else fps
    if not SLOWEST <= fps <= FASTEST:
        raise ValueError(
            f"An animation must have {SLOWEST} to {FASTEST:.0f} frames a second. Received "
            f"{f'fps={fps}' if seconds is None else f'seconds={seconds} for {count} frames'}."
        )
    return fps


def animation_steps(
    pipeline: FramePipeline,
    state: ViewState,
    display: DisplayContext,
    by: str,
    only: Iterable[str | int] | None,
) -> tuple[Any, ...]:
    """Return the layer paths, channel indices or steps of training that an animation goes through.

    Args:
        pipeline: The pipeline that computes the frames.
        state: The view.
        display: The display context.
        by: `"layers"`, in the order data flows, without the maps before activations; or `"channels"`, in the
            order of the grid; or `"steps"` of training.
        only: The steps to take instead, in this order.

    Raises:
        TypeError: If `only` is not a sequence.
        ValueError: If a step does not exist, or there are none.
    """
    if isinstance(only, str) or not isinstance(only, Iterable | None):
        raise TypeError(
            f"`only` must be a sequence of layer paths, channel indices or steps, or None. Received {only!r}."
        )
    known: Sequence[Any]
    usual: Sequence[Any]
    if by == "layers":
        layers = pipeline.layers(state)
        known = [layer.path for layer in layers]
        usual = [layer.path for layer in layers if layer.after is None]
    elif by == "channels":
        known = usual = pipeline.layout(state, display).order
    elif by == "steps":
        known = usual = [snapshot.step for snapshot in pipeline.offer.run]
        if not known:
            raise ValueError("There are no steps of training to animate. Pass snapshots= to the widget.")
    else:
        raise ValueError(f"`by` must be 'layers', 'channels' or 'steps'. Received by={by!r}.")
    steps = tuple(usual if only is None else only)
    for step in steps:
        if step not in known:
            hint = f"There are {len(known)} of them, counted from 0."
            if by == "layers":
                hint = did_you_mean(step, map(str, known), "`.layers` lists them.")
            raise ValueError(f"There is no {by[:-1]} {step!r}. {hint}")
    if not steps:
        raise ValueError(f"`only` must name at least one of the {by}. Received none.")
    return steps


def animation_pages(
    pipeline: FramePipeline, state: ViewState, display: DisplayContext, by: str, steps: Iterable[Any]
) -> Iterator[Page]:
    """Yield the page of each step, at one device pixel per CSS pixel."""
    state = replace(state, profile=False, history=False)
    prepared = pipeline.prepare(state)
    trait = {"layers": "layer", "channels": "channel", "steps": "step"}[by]
    for step in steps:
        frame = pipeline.frame(replace(state, **{trait: step}), display, prepared)
        frame = replace(frame, norm=_norm(state))
        if by == "channels":
            yield channel_page(frame, ratio=1, title=f"{frame.layer.path}  channel {step}")
        else:
            channel = min(state.channel, len(frame.layout.order) - 1)
            yield grid_page(replace(frame, channel=channel, page=frame.layout.page_of(channel)), ratio=1)


def _norm(state: ViewState) -> str:
    """Return the norm of all frames, which have one palette: that of differences, if they show some."""
    return "symmetric" if state.against and state.side == "difference" else state.norm


def _images(pages: Iterable[Page], count: int, colours: Array) -> list[Image.Image]:
    """Compose pages as images of one palette and one size: smaller pages lie in the upper left corner."""
    composed: list[Array] = []
    for page in pages:
        composed.append(page.composed())
        if composed[-1].size * count > MOST_BYTES:
            raise ValueError(
                f"{count} frames of {page.width} × {page.height} pixels are more than the "
                f"{MOST_BYTES // 2**20} MiB that an animation may take. Pass fewer of them as `only`."
            )
    height, width = (max(indices.shape[axis] for indices in composed) for axis in (0, 1))

    def image(indices: Array) -> Image.Image:
        padded = np.full((height, width), PAPER, np.uint8)
        padded[: indices.shape[0], : indices.shape[1]] = indices
        result = Image.fromarray(padded)
        result.putpalette(colours.tobytes())
        return result

    return [image(composed.pop(0)) for _ in range(count)]  # popped, so that no frame is held twice
