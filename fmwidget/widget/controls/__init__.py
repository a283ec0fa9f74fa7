"""The controls of the widget."""

from __future__ import annotations
