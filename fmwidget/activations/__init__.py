"""Running a model and keeping what it computed: `ActivationModel` and its parts.

May import `images` and `models`.
"""

from __future__ import annotations
