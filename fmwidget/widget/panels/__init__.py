"""The panels of the widget, one module each."""

from __future__ import annotations
