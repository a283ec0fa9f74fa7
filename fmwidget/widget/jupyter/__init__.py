"""The widget in Jupyter: comm messages, text for pages, lifetime and display."""

from __future__ import annotations
