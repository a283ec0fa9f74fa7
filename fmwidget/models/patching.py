"""Temporary wrappers around methods of classes that other threads use at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

Method = tuple[type, str, Callable[[Any], Any]]  # a class, the name of its method, a function that wraps it
Result = TypeVar("Result")


class Wrappers:
    """Wrappers around methods, installed while any thread runs a function inside `around`.

    A wrapper must decide by itself whether it applies to the thread it runs on.

    Args:
        methods: The methods to wrap. A method that has been replaced since the last time is wrapped again.
    """

    def __init__(self, *methods: Method) -> None:
        self._methods = methods
        self._wrapped: dict[tuple[type, str], tuple[Any, Any]] = {}  # the method found, and its wrapper
        self._threads: set[int] = set()
        self._lock = threading.Lock()

    def around(self, function: Callable[[], Result]) -> Result:
        """Call a function with the methods wrapped; unwrap them when no thread is inside any more.

        An interrupt may come between any two steps. Each of them can be repeated, so that what is not undone
        here because of it is undone by the next call on the thread. A context manager might never exit.
        """
        try:
            self._threads.add(threading.get_ident())
            self._install()
            return function()
        finally:
            self._threads.discard(threading.get_ident())
            self._restore()

    def _install(self) -> None:
        with self._lock:
            for owner, name, wrap in self._methods:
                found = getattr(owner, name, None)  # `None` for an attribute that only instances have
                _, wrapper = self._wrapped.get((owner, name), (None, None))
                if wrapper is None or found is not wrapper:
                    self._wrapped[owner, name] = found, wrap(found)
                    setattr(owner, name, self._wrapped[owner, name][1])

    def _restore(self) -> None:
        with self._lock:
            if self._threads:
                return
            for (owner, name), (original, wrapper) in self._wrapped.items():
                if getattr(owner, name, None) is not wrapper:
                    continue
                if original is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, original)
