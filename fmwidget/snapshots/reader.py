"""Reading of all variables of a model, again and again, while it is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fmwidget.models import backends

if TYPE_CHECKING:
    import keras

MANY_VARIABLES = 64  # from here on a compiled read pays; with fewer, reading takes less than a millisecond


class Reader:
    """Reading of all variables of a model.

    To find them and read each takes milliseconds where there are hundreds. Once training is under way all
    are known, and one compiled graph, made beside training, reads them at once.
    """

    def __init__(self) -> None:
        self._of_keras: list[Any] = []  # the variables that Keras lists, which is quick
        self._names: list[str] = []
        self._variables: list[Any] = []
        self._all_exist = False  # the model has been trained on a batch at least, in this training
        self._read_all: Callable[[], list[Any]] | None = None

    def read(self, model: keras.Model) -> tuple[Sequence[str], list[Any]]:
        """Return the names of a model's variables, and their values as they are now."""
        of_keras, read_all = model.variables, self._read_all
        if read_all is not None and list(map(id, of_keras)) == list(map(id, self._of_keras)):
            return self._names, read_all()
        named = backends.current().named_variables(model)
        self._of_keras, self._names, self._variables = of_keras, list(named), list(named.values())
        self._read_all = None
        return self._names, backends.current().read(self._variables)

    def begin(self) -> None:
        """Find the variables again: training begins, and may create some that Keras does not list."""
        self._all_exist = False
        self._read_all = None

    def settle(self) -> None:
        """Allow `compile`: the model has been trained on a batch, so all of its variables exist."""
        self._all_exist = True

    def compile(self) -> None:
        """Prepare to read the variables that were read last in one graph, if all exist and they are many."""
        variables, backend = self._variables, backends.current()
        if self._all_exist and self._read_all is None and len(variables) >= MANY_VARIABLES:
            compiled = backend.compile_function(lambda _: backend.read(variables), (), ())
            compiled(())  # the first run, which prepares the graph, takes a hundred times as long
            if variables is self._variables:
                self._read_all = lambda: compiled(())
