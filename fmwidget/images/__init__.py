"""Images: loading, decoding, arrays, and fitting to a model's input size. Imports no other package."""

from __future__ import annotations
