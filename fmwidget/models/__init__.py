"""The user's model: its structure, its inputs and outputs, and the input scaling it expects.

May import `images`.
"""

from __future__ import annotations
