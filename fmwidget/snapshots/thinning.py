"""The choice of the snapshots that stay when all of them together would take too many bytes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence

AUTO = "auto"  # the validation loss if there is one, else the loss
_MORE_IS_BETTER = ("acc", "auc", "precision", "recall", "iou", "f1", "fbeta", "fmeasure", "dice", "r2")


def kept_places(
    steps: Sequence[int],
    parts: Sequence[Collection[Hashable]],
    sizes: Mapping[Hashable, int],
    *,
    max_bytes: int,
    max_count: int,
    keep: Collection[int] = (),
) -> list[int]:
    """Return the places of the snapshots that stay.

    The first, the last and those in `keep` always do. As long as they are too much, the snapshot goes whose
    neighbors are closest in the logarithm of the step, so that steps stay dense where training begins
    and changes most, also when this is done again and again while a run grows. Those that free no bytes of
    their own go only if no other is left.

    Args:
        steps: The step of each snapshot, ascending.
        parts: What each snapshot consists of, of which others may have some too.
        sizes: Bytes of each part.
        max_bytes: Bytes that all parts together may take.
        max_count: Number of snapshots that may stay.
        keep: Places of further snapshots that stay.
    """
    places = list(range(len(steps)))
    users = Counter(part for each in parts for part in set(each))
    total = sum(sizes[part] for part in users)
    fixed = {0, len(steps) - 1, *keep}
    while total > max_bytes or len(places) > max_count:
        candidates = [at for at, place in enumerate(places) if place not in fixed]
        if not candidates:
            break
        if total > max_bytes:
            freeing = [at for at in candidates if any(users[part] == 1 for part in parts[places[at]])]
            candidates = freeing or candidates

        def closeness(at: int) -> tuple[float, int]:
            before, after = steps[places[at - 1]], steps[places[at + 1]]
            return (after + 1) / (before + 1), -at

        gone = places.pop(min(candidates, key=closeness))
        for part in set(parts[gone]):
            users[part] -= 1
            if not users[part]:
                total -= sizes[part]
    return places


def best_place(logs: Sequence[Mapping[str, float]], monitor: str = AUTO) -> int | None:
    """Return the place of the best snapshot, the first of several; `None` if none has the number.

    Args:
        logs: Losses and metrics of each snapshot.
        monitor: Name of the number to compare, or `"auto"`. More of it is better if it is named like an
            accuracy, less is better otherwise.
    """
    if monitor == AUTO:
        monitor = "val_loss" if any("val_loss" in each for each in logs) else "loss"
    sign = -1 if any(word in monitor.lower() for word in _MORE_IS_BETTER) else 1
    values = {
        place: sign * each[monitor]
        for place, each in enumerate(logs)
        if monitor in each and not math.isnan(each[monitor])
    }
    return min(values, key=lambda place: values[place], default=None)
