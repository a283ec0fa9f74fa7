"""What may be chosen: a value that may not is met with a sentence that says what could be."""

from __future__ import annotations

from collections.abc import Iterable

from traitlets import TraitError

from fmwidget._errors import did_you_mean


def one_of(name: str, value: str, allowed: Iterable[str]) -> str:
    """The value of a trait, if it is one of those allowed; raises `TraitError`."""
    allowed = tuple(allowed)
    if value not in allowed:
        hint = did_you_mean(value, allowed, f"Choose from {_listed(allowed)}.")
        raise TraitError(f"There is no {name} {value!r}. {hint}")
    return value


def index_in(name: str, value: int, count: int, layer: str) -> int:
    """The value of a trait that counts something of a layer; raises `TraitError`."""
    if not 0 <= value < count:
        raise TraitError(
            f"There is no {name} {value}: layer {layer!r} has {count}, counted from 0 to {count - 1}."
        )
    return value


def percentage(name: str, value: int) -> int:
    """The value of a trait that is a percentage; raises `TraitError`."""
    if not 0 <= value <= 100:
        raise TraitError(f"There is no {name} {value}: it is a percentage, from 0 to 100.")
    return value


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(map(repr, names[:8]))
    return f"{shown}, …" if len(names) > 8 else shown
