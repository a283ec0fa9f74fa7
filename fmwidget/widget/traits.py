"""Trait types that refuse what cannot be shown, with a message that lists what can."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import traitlets

from fmwidget._errors import did_you_mean
from fmwidget.rendering.palette import require_cmap

MAX_LISTED = 8  # values that a message lists


class Choice(traitlets.Unicode[str, str | bytes]):
    """One of a fixed set of names."""

    def __init__(self, choices: Iterable[str], default: str, **metadata: Any) -> None:
        super().__init__(default, **metadata)
        self._choices = tuple(choices)

    def validate(self, obj: Any, value: Any) -> str:
        """Return the name if it is among the choices; raise `TraitError` otherwise."""
        return require_choice(str(self.name), super().validate(obj, value), self._choices)


class Colormap(traitlets.Unicode[str, str | bytes]):
    """The name of a matplotlib colormap."""

    def validate(self, obj: Any, value: Any) -> str:
        """Return the name if matplotlib has such a colormap; raise `TraitError` otherwise."""
        name = super().validate(obj, value)
        try:
            require_cmap(name)
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from error
        return name


class Percent(traitlets.Int[int, int]):
    """A whole number from 0 to 100."""

    def validate(self, obj: Any, value: Any) -> int:
        """Return the number if it is in range; raise `TraitError` otherwise."""
        number = super().validate(obj, value)
        if not 0 <= number <= 100:
            raise traitlets.TraitError(f"{self.name} must be between 0 and 100. Received {number}.")
        return number


def require_choice(name: str, value: str, choices: Iterable[str]) -> str:
    """Return the value of a trait if it is among the choices; raise `TraitError` otherwise."""
    choices = tuple(choices)
    if value in choices:
        return value
    listed = ", ".join(map(repr, choices[:MAX_LISTED])) + ", …" * (len(choices) > MAX_LISTED)
    hint = did_you_mean(value, choices, "")
    raise traitlets.TraitError(f"{name} must be one of {listed}. Received {value!r}. {hint}".rstrip())


def require_index(name: str, value: int, count: int, layer: str) -> int:
    """Return the value of a trait that indexes `count` items of a layer; raise `TraitError` otherwise."""
    if 0 <= value < count:
        return value
    allowed = f"between 0 and {count - 1}" if count > 1 else "0"
    raise traitlets.TraitError(f"{name} must be {allowed} for layer {layer!r}. Received {value}.")
