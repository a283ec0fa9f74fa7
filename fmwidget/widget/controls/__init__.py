"""The controls of the widget: buttons, sliders and lists, and what they report."""

from __future__ import annotations
