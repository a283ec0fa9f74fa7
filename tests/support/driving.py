"""Drive a widget as a page does, and read the text on screen."""

from __future__ import annotations

import time

from fmwidget.widget.jupyter.widget_tree import child_widgets


def deliver(part, **data):
    """Hand a message to a widget as the kernel does."""
    part.comm.handle_msg({"content": {"data": data}, "buffers": []})


def described(widget, description):
    """Return the control with a description."""
    return next(part for part in child_widgets(widget) if getattr(part, "description", "") == description)


def status(widget):
    """Return the status line, as HTML."""
    return next(
        str(part.value) for part in child_widgets(widget) if "fmw-status" in str(getattr(part, "value", ""))
    )


def until(condition):
    """Wait for a thread of the widget."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
