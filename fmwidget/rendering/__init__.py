"""Drawing of feature maps: arrays to pages, and pages to PNG or a matplotlib `Figure`.

May import all packages up to `analysis`.
"""

from __future__ import annotations
