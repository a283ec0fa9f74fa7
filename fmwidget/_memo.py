"""A cache for the last result of a function, since a control changes one argument at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Latest(Generic[Result]):
    """A function that is called again only when its arguments differ from those of the last call.

    An argument without a hash, such as an array, is equal only to itself: the arrays here
    are read-only, and comparing them would cost as much as a redraw.
    """

    def __init__(self, function: Callable[..., Result]) -> None:
        self._function = function
        self._arguments: tuple[Any, ...] | None = None
        self._result: Result

    def __call__(self, *arguments: Any, **named: Any) -> Result:
        """Return the function's result for these arguments."""
        received = (*arguments, tuple(named), *named.values())
        if self._arguments is None or not all(map(_same, received, self._arguments)):
            self._result = self._function(*arguments, **named)
            self._arguments = received
        return self._result


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return hash(a) == hash(b) and bool(a == b)
    except TypeError:
        return False
