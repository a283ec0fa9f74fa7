"""Pages of charts: numbers over layers and steps of training, with axes, beside the pages of feature maps."""

from __future__ import annotations
