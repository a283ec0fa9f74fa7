"""Numbers about feature maps; no drawing.

May import `images`, `models` and `activations`.
"""

from __future__ import annotations
