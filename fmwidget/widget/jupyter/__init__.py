"""The Jupyter side of the widget: comm messages, subshells, lifetime and display."""

from __future__ import annotations
