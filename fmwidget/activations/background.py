"""Compiles forward passes in the background, and stands still whenever somebody looks."""

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

# Seconds that compiling stands still once somebody looks, and at most for one call of a layer: the two would
# take the interpreter from each other, and a look that takes 10 ms would take 100.
_STAND_STILL, _AT_MOST = 0.06, 0.3

# One thread for all models: compiling holds the interpreter, two at once would only slow each other.
_compiler = ThreadPoolExecutor(1, thread_name_prefix="fmwidget-compile")


class BackgroundCompiler:
    """The compiled forward passes of one model.

    Args:
        model: The model.
        compiled: Called on the compiler's thread whenever a pass is ready.

    Attributes:
        passes: A future of each pass, by the shapes of the input that it is for.
        asked: When somebody last looked, in seconds of `time.monotonic`.
    """

    def __init__(self, model: keras.Model, compiled: Callable[[], None]) -> None:
        self.passes: dict[Any, Future[Callable[[Batch], Forward]]] = {}
        self.asked = 0.0
        self._model = model
        self._compiled = compiled

    def begin(self, batch: Batch, shapes: tuple[Any, ...], paths: tuple[str, ...]) -> None:
        """Begins to compile, unless that was begun before.

        Args:
            batch: An example of the input.
            shapes: The shape of each part of it; `None` where it may differ.
            paths: What an eager pass had. A compiled one that has anything else is of no use.
        """
        if shapes not in self.passes:
            self.passes[shapes] = _compiler.submit(_compile_for, weakref.ref(self), batch, shapes, paths)

    def ready(self, shapes: tuple[Any, ...]) -> Callable[[Batch], Forward] | None:
        """The pass for input of these shapes; `None` where there is none, or not yet."""
        compiled = self.passes.get(shapes)
        done = compiled is not None and compiled.done() and compiled.exception() is None
        return compiled.result() if compiled is not None and done else None

    def give_up(self, shapes: tuple[Any, ...], error: Exception) -> None:
        """Takes note that the pass for input of these shapes failed: there will be no other."""
        log.info("%s stays eager, since its compiled forward pass failed: %s", self._model.name, error)
        self.passes[shapes] = Future()  # never done

    def _compile(
        self, batch: Batch, shapes: tuple[Any, ...], paths: tuple[str, ...]
    ) -> Callable[[Batch], Forward]:
        try:
            compiled = compile_forward(self._model, batch, shapes, pause=self._give_way)
            if tuple(layer.path for layer in compiled(batch).layers) != paths:
                raise ValueError("it makes other calls when it is compiled")  # noqa: TRY301 - logged like the rest
        except Exception as error:
            log.info("%s stays eager, since its forward pass cannot be compiled: %s", self._model.name, error)
            raise
        self._compiled()
        return compiled

    def _give_way(self) -> None:
        began = time.monotonic()
        while (wait := self.asked + _STAND_STILL - time.monotonic()) > 0:
            if time.monotonic() - began > _AT_MOST:
                return  # or somebody who looks without end would never see it compiled
            time.sleep(wait)


def _compile_for(
    owner: weakref.ref[BackgroundCompiler], batch: Batch, shapes: tuple[Any, ...], paths: tuple[str, ...]
) -> Callable[[Batch], Forward]:
    """Compiles on the compiler's thread, unless nobody is left who wants it."""
    compiler = owner()
    if compiler is None:
        raise ReferenceError("The model is looked at no more.")
    return compiler._compile(batch, shapes, paths)  # noqa: SLF001 - of this module
