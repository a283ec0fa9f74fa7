"""Keras backends: the few operations on tensors and variables that the public `keras` API does not offer.

`current()` returns the module of the backend that this session runs on, which implements `Backend`.
A new backend is one new module here and its name in `SUPPORTED`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import keras

if TYPE_CHECKING:
    import numpy as np

Tensor = Any  # a tensor of the backend in use
Variable = Any  # a variable of the backend in use
Result = TypeVar("Result")

SUPPORTED = ("tensorflow",)


class StandIns(Protocol):
    """Variables that a pass reads and writes in place of the model's own."""

    def load(self, values: Sequence[Any]) -> None:
        """Assign other values, one tensor or array to each."""


class HeldWeights(Protocol):
    """The weights of a model as of one check.

    Attributes:
        variables: The variables that hold them; the same list for as long as the model has no others.
        version: A number that differs after every change of a value.
    """

    @property
    def variables(self) -> list[Variable]:
        """The variables that hold the weights."""

    @property
    def version(self) -> int:
        """A number that differs after every change."""


class WeightMonitor(Protocol):
    """Exact detection of changes of a model's weights from one check to the next."""

    @property
    def held(self) -> HeldWeights:
        """The weights as of the last check."""

    def check(self, model: keras.Model) -> HeldWeights:
        """Return the weights as they are now, under a new version where they have changed."""

    def adopt(self, model: keras.Model) -> HeldWeights:
        """Add variables that the model has gained, such as in its first call, without a new version."""

    def compile_reader(self) -> None:
        """Prepare a faster way to read all variables."""


class Backend(Protocol):
    """The functions of a backend module."""

    def graph_scope(self) -> object:
        """Return the graph that the current thread builds, or `None` while it runs eagerly."""

    def compile_function(
        self, function: Callable[[Any], Any], batch: Any, shapes: Sequence[tuple[int | None, ...]]
    ) -> Callable[..., Any]:
        """Compile `function(batch)` into `compiled(batch, weights=None)`."""

    def isolated(
        self, function: Callable[[], Result], is_building: Callable[[], bool], weights: Any = None
    ) -> Result:
        """Run a function whose writes to variables no other thread sees, nor this one afterwards."""

    def stand_ins(self, variables: Sequence[Variable], values: Sequence[Any]) -> StandIns:
        """Return stand-ins for variables, to run a pass with other weights."""

    def named_variables(self, model: keras.Model) -> dict[str, Variable]:
        """Return every variable that a forward pass may read, by a name of its own."""

    def read(self, variables: Sequence[Variable]) -> list[Tensor]:
        """Return the values of variables as they are now: they stay the same when the variables change."""

    def nbytes(self, tensor: Tensor) -> int:
        """Return the bytes that a tensor's values take."""

    def to_numpy(self, tensor: Tensor) -> np.ndarray[Any, Any]:
        """Return a tensor's values, read-only; its own memory where numpy can read that."""

    def readable_message(self, message: str) -> str:
        """Return the message of an error without the notation of the backend, with advice if any."""

    def weight_monitor(self) -> WeightMonitor:
        """Return a monitor that has seen no weights yet."""


@functools.cache
def current() -> Backend:
    """Return the module of the Keras backend in use.

    Raises:
        RuntimeError: If Keras runs on a backend that is not supported.
    """
    name = keras.config.backend()
    if name not in SUPPORTED:
        raise RuntimeError(
            f"fmwidget needs Keras on its TensorFlow backend. This session runs Keras on {name!r}. Set the "
            "environment variable KERAS_BACKEND to 'tensorflow' before Keras is imported."
        )
    module: Any = import_module(f"{__name__}.{name}")
    return module
