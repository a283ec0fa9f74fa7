"""Mark colors that are distinct from those of a colormap, with and without color blindness."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from fmwidget.analysis.channel_stats import Array

# Most conspicuous first: the first of those chosen marks NaN.
CANDIDATES = np.array([(255, 0, 255), (57, 255, 20), (255, 230, 0), (85, 255, 255), (0, 0, 255)])

# Linear RGB to CIE XYZ, scaled so that white is 1, 1, 1.
_RGB_TO_XYZ = np.array([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]])
# Linear RGB as seen with all cones, without red and without green ones: Machado, Oliveira and Fernandes,
# "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009).
_COLOR_VISION = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1.0]],
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    ]
)


def mark_colors(steps: Array) -> Array:
    """Return the three candidates that are hardest to mistake for a step of a colormap or for each other.

    They are chosen for each colormap: it may be any of matplotlib's, and no fixed three differ as much from
    the many colors of "coolwarm" or "winter".

    Args:
        steps: The colors of the colormap, `(n, 3)`, 0 to 255.
    """
    marks, others = _appearances(CANDIDATES), _appearances(steps)
    from_steps = np.linalg.norm(marks[:, :, np.newaxis] - others[:, np.newaxis], axis=-1).min(axis=(0, 2))
    apart = np.linalg.norm(marks[:, :, np.newaxis] - marks[:, np.newaxis], axis=-1).min(axis=0)

    def smallest_difference(trio: tuple[int, ...]) -> float:
        return min(*from_steps[list(trio)], *(apart[pair] for pair in combinations(trio, 2)))

    best = max(combinations(range(len(CANDIDATES)), 3), key=smallest_difference)
    return CANDIDATES[list(best)]


def _appearances(colors: Array) -> Array:
    """Return colors `(n, 3)` as each kind of viewer sees them, `(3, n, 3)` in CIE Lab."""
    linear = np.where(colors <= 10, colors / 3294.6, ((colors / 255 + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ _COLOR_VISION.swapaxes(1, 2), 0, 1)
    x, y, z = np.moveaxis(np.cbrt(seen @ _RGB_TO_XYZ.T + 1e-4), -1, 0)
    return np.stack([116 * y, 500 * (x - y), 200 * (y - z)], axis=-1)
