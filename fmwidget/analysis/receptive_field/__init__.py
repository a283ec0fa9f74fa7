"""Receptive and projective fields, from the tensor dependency graph of one recorded forward pass."""

from __future__ import annotations
