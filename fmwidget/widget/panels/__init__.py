"""The panels of the widget: each draws one part of the screen from a frame and a selection."""

from __future__ import annotations
