"""What a page does to a widget, and what a person reads there."""

from __future__ import annotations

from fmwidget.widget.jupyter.widget_tree import child_widgets


def deliver(part, **data):
    """Hands a message to a widget as the kernel does."""
    part.comm.handle_msg({"content": {"data": data}, "buffers": []})


def described(widget, description):
    """The control that people know by a description."""
    return next(part for part in child_widgets(widget) if getattr(part, "description", "") == description)


def status(widget):
    """The status line, as HTML."""
    return next(
        str(part.value) for part in child_widgets(widget) if "fmw-status" in str(getattr(part, "value", ""))
    )
