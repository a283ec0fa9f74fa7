"""Methods that act differently on some threads for a while: wrapped as long as needed, then put back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

Method = tuple[type, str, Callable[[Any], Any]]  # a class, the name in it, and what makes the wrapper
Result = TypeVar("Result")


class Wrappers:
    """Wrappers around methods of classes that other threads use too.

    A wrapper must tell by itself whether it concerns the thread it runs on.

    Args:
        methods: What to wrap. The wrapper is made anew where another method is found than the last time.
    """

    def __init__(self, *methods: Method) -> None:
        self._methods = methods
        self._made: dict[tuple[type, str], tuple[Any, Any]] = {}  # the method as found, and its wrapper
        self._threads: set[int] = set()
        self._lock = threading.Lock()

    def around(self, function: Callable[[], Result]) -> Result:
        """Runs a function with the methods wrapped, and puts them back when no thread runs one any more.

        An interrupt may come between any two steps. Each of them can be taken twice, so that what it keeps
        from being undone here, the next run on the thread undoes. A context manager might never be left.
        """
        try:
            self._threads.add(threading.get_ident())
            self._install()
            return function()
        finally:
            self._threads.discard(threading.get_ident())
            self._put_back()

    def _install(self) -> None:
        with self._lock:
            for owner, name, wrap in self._methods:
                found = getattr(owner, name, None)  # instance attributes are none of the class
                _, wrapper = self._made.get((owner, name), (None, None))
                if wrapper is None or found is not wrapper:
                    self._made[owner, name] = found, wrap(found)
                    setattr(owner, name, self._made[owner, name][1])

    def _put_back(self) -> None:
        with self._lock:
            if self._threads:
                return
            for (owner, name), (original, wrapper) in self._made.items():
                if getattr(owner, name, None) is not wrapper:
                    continue
                if original is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, original)
