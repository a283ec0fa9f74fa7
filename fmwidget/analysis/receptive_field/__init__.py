"""Receptive and projective fields, from the tensor dependency graph of one recorded forward pass.

`layout` separates positions from channels. `axes` describes how positions along one axis depend on
each other, `relations` how those of one tensor depend on those of another, `rules` which relation each kind
of layer has. `graph` records which tensors a model computes from which; `fields` and `projective` follow the
relations along that graph, from a unit to the image and from a pixel to the units.
"""

from __future__ import annotations
