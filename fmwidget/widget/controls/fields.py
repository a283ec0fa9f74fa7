"""Form fields with their names in front, which share the width of their row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets

STYLE = {"description_width": "initial"}


def flexible(width: str, **layout: str) -> dict[str, str]:
    """Return the layout of a field of about `width` that grows and shrinks with its row."""
    return {"width": "auto", "flex": f"1 1 {width}", "min_width": "0", **layout}


def row(*children: ipywidgets.Widget) -> ipywidgets.HBox:
    """Return widgets side by side, in several rows where there is little room."""
    return ipywidgets.HBox(
        children, layout={"flex_flow": "row wrap", "align_items": "center", "overflow": "visible"}
    )


def dropdown(description: str, options: Sequence[tuple[str, Any]], width: str) -> ipywidgets.Dropdown:
    """Return a list of labels and values to choose one from."""
    layout = flexible(width, max_width="100%")
    return ipywidgets.Dropdown(description=description, options=options, style=STYLE, layout=layout)


def slider(description: str, width: str, **traits: Any) -> ipywidgets.IntSlider:
    """Return a slider over whole numbers, with the number beside it."""
    return ipywidgets.IntSlider(description=description, style=STYLE, layout=flexible(width), **traits)


def move_slider(field: ipywidgets.IntSlider, value: int, last: int) -> None:
    """Set value and upper end of a slider; disable it where that leaves no choice."""
    with field.hold_sync():
        field.max = max(field.min + 1, last)  # the slider in the browser needs a range above 0
        field.value = value
        field.disabled = last == field.min


def step_buttons(what: str) -> tuple[ipywidgets.Button, ipywidgets.Button]:
    """Return two buttons: to the previous and to the next `what`."""
    back, on = (
        ipywidgets.Button(description=arrow, tooltip=f"{which} {what}", layout={"width": "32px"})
        for arrow, which in (
            ("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", "Previous"),
            ("\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}", "Next"),
        )
    )
    return back, on
