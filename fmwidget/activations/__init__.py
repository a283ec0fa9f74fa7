"""Running a model and keeping what it computed: `ActivationModel` and its parts.

May import `images`, `models` and `snapshots`.
"""

from __future__ import annotations
