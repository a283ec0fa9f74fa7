"""Methods that act differently on some threads for a while: wrapped as long as needed, then put back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Method = tuple[type, str, Callable[[Any], Any]]  # a class, the name in it, and what makes the wrapper


class Wrappers:
    """Wrappers around methods of classes that other threads use too.

    A wrapper must tell by itself whether it concerns the thread it runs on.

    Args:
        methods: What to wrap. The wrapper is made anew from what is found each time.
    """

    def __init__(self, *methods: Method) -> None:
        self._methods = methods
        self._originals: list[Any] = []
        self._users = 0
        self._lock = threading.Lock()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Wraps the methods, unless another thread has, and puts them back after the last one is done."""
        with self._lock:
            if self._users == 0:
                self._originals = [getattr(owner, name) for owner, name, _ in self._methods]
                for (owner, name, wrap), original in zip(self._methods, self._originals, strict=True):
                    setattr(owner, name, wrap(original))
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    for (owner, name, _), original in zip(self._methods, self._originals, strict=True):
                        setattr(owner, name, original)
