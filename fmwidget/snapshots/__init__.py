"""The weights of a model as they were: snapshots taken in training, and files of weights.

May import `images` and `models`.
"""

from __future__ import annotations
