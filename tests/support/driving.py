"""Drive a widget as a page does, and read the text on screen."""

from __future__ import annotations

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
