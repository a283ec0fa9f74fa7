"""Keras backends: compile a forward pass, watch weights for change, isolate state."""

from __future__ import annotations
