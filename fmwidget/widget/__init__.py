"""`FeatureMapWidget`: state and wiring. May import every other package; only the top level imports it."""

from __future__ import annotations
