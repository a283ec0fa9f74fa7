"""Compile forward passes on a background thread, which pauses while the user interacts."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fmwidget.models.inputs import Batch

from .forward import Forward, compile_forward

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

# Seconds that compiling pauses after each request for maps, and at most for one call of a layer. Tracing is
# Python code, and the two threads would take the interpreter from each other: a request of 10 ms would take
# 100.
_PAUSE, _LONGEST_PAUSE = 0.06, 0.3

# One thread for all models: compiling holds the interpreter, two at once would only slow each other.
_executor = ThreadPoolExecutor(1, thread_name_prefix="fmwidget-compile")

Compiled = Callable[..., Forward]


class BackgroundCompiler:
    """The compiled forward passes of one model.

    Args:
        model: The model.
        on_compiled: Called on the compiler's thread whenever a pass is ready.

    Attributes:
        passes: A future of each pass, by the shapes of its input.
        variables: The variables of the model that they read; they are not valid for others.
        last_request: Time of the last request for maps, in seconds of `time.monotonic`.
    """

    def __init__(self, model: keras.Model, on_compiled: Callable[[], None]) -> None:
        self.passes: dict[Any, Future[Compiled]] = {}
        self.variables: list[Any] = []
        self.last_request = 0.0
        self._model = model
        self._on_compiled = on_compiled

    def begin(self, batch: Batch, shapes: tuple[Any, ...], paths: tuple[str, ...]) -> None:
        """Begin to compile, unless a pass for these shapes has been begun before.

        Args:
            batch: An example of the input.
            shapes: The shape of each part of it; `None` where it may differ.
            paths: The layers of an eager pass. A compiled pass with other layers is discarded.
        """
        if shapes not in self.passes:
            self.passes[shapes] = _executor.submit(_compile_for, weakref.ref(self), batch, shapes, paths)

    def ready(self, shapes: tuple[Any, ...]) -> Compiled | None:
        """Return the pass for input of these shapes; `None` where there is none, or not yet."""
        compiled = self.passes.get(shapes)
        done = compiled is not None and compiled.done() and compiled.exception() is None
        return compiled.result() if compiled is not None and done else None

    def give_up(self, shapes: tuple[Any, ...], error: Exception) -> None:
        """Stay eager for input of these shapes, since the compiled pass failed."""
        log.info("%s stays eager, since its compiled forward pass failed: %s", self._model.name, error)
        self.passes[shapes] = Future()  # never done

    def _compile(self, batch: Batch, shapes: tuple[Any, ...], paths: tuple[str, ...]) -> Compiled:
        try:
            compiled = compile_forward(self._model, batch, shapes, pause=self._give_way)
            if tuple(layer.path for layer in compiled(batch).layers) != paths:
                raise ValueError("it makes other calls when it is compiled")  # noqa: TRY301 - logged like the rest
        except Exception as error:
            log.info("%s stays eager, since its forward pass cannot be compiled: %s", self._model.name, error)
            raise
        self._on_compiled()
        return compiled

    def _give_way(self) -> None:
        """Wait until the last request for maps is `_PAUSE` ago, but no longer than `_LONGEST_PAUSE`."""
        began = time.monotonic()
        while (wait := self.last_request + _PAUSE - time.monotonic()) > 0:
            if time.monotonic() - began > _LONGEST_PAUSE:
                return  # or the model would never be compiled while requests go on
            time.sleep(wait)


def _compile_for(
    owner: weakref.ref[BackgroundCompiler], batch: Batch, shapes: tuple[Any, ...], paths: tuple[str, ...]
) -> Compiled:
    """Compile on the compiler's thread, unless the compiler has been collected meanwhile."""
    compiler = owner()
    if compiler is None:
        raise ReferenceError("The activation model has been garbage-collected.")
    return compiler._compile(batch, shapes, paths)  # noqa: SLF001 - of this module
