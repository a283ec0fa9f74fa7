"""A snapshot: the weights of a model at one moment, to be used in place of its present ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fmwidget._errors import did_you_mean
from fmwidget.models import backends

if TYPE_CHECKING:
    import keras

    from fmwidget.models.backends import Variable


class Weights(NamedTuple):
    """Values for variables of a model.

    Attributes:
        variables: The variables, each of them once.
        values: A tensor or array for each.
    """

    variables: Sequence[Variable]
    values: Sequence[Any]


class WeightSource(Protocol):
    """A place that weights are read from: memory, a folder of snapshots, a file of weights."""

    def weights(self, model: keras.Model) -> Weights:
        """Return the values for a model's variables; the model is not changed.

        Raises:
            ValueError: If they do not fit the model.
            OSError: If they cannot be read.
        """


@dataclass(frozen=True, eq=False, kw_only=True)
class Snapshot:
    """The weights of a model at one moment of its training. A snapshot is equal to itself alone.

    Attributes:
        step: Number of the snapshot, from 0 in the order in which they were taken. It stays the same when
            others are dropped.
        epoch: Epochs of training that were complete; `None` if that is not known.
        batches: Batches that the model had been trained on; `None` if that is not known.
        label: The user's own words for it.
        logs: Losses and metrics of that moment, by name.
        source: The place that its weights are read from.
    """

    step: int
    epoch: int | None = None
    batches: int | None = None
    label: str = ""
    logs: Mapping[str, float] = field(default_factory=dict)
    source: WeightSource

    @property
    def name(self) -> str:
        """The label, or else the step in words: "before training", "epoch 3", "batch 200", "step 4"."""
        if self.label:
            return self.label
        if self.batches == 0 or (self.batches is None and self.epoch == 0):
            return "before training"
        if self.epoch is not None and self.epoch == self.step:
            return f"epoch {self.epoch}"
        return f"step {self.step}" if self.batches is None else f"batch {self.batches}"

    def weights(self, model: keras.Model) -> Weights:
        """Return the values for a model's variables; the model is not changed.

        Raises:
            ValueError: If they do not fit the model.
            OSError: If they cannot be read.
        """
        return self.source.weights(model)


@dataclass(frozen=True, eq=False)
class NamedValues:
    """Values by the names of their variables.

    Attributes:
        names: Names as of `backends.Backend.named_variables`.
        values: A tensor or array for each.
    """

    names: Sequence[str]
    values: Sequence[Any]

    def weights(self, model: keras.Model) -> Weights:
        """Return the values for a model's variables; see `match_variables`."""
        return Weights(
            match_variables(model, self.names, [value.shape for value in self.values]), self.values
        )


def match_variables(
    model: keras.Model, names: Sequence[str], shapes: Sequence[Sequence[int]]
) -> list[Variable]:
    """Return the variable of a model that each of some stored values belongs to.

    They are matched by name. Names that Keras gave by counting (`conv2d_3`) differ between two models of the
    same architecture: where a name is not known, but number and shapes agree, values are matched by position.

    Args:
        model: The model; it may have variables that were not stored.
        names: Name of each stored value.
        shapes: Its shape.

    Raises:
        ValueError: If a value has no variable, or one of another shape.
    """
    known = backends.current().named_variables(model)
    shapes = [tuple(shape) for shape in shapes]
    if not known.keys() >= set(names) and [tuple(each.shape) for each in known.values()] == shapes:
        return list(known.values())
    for name, shape in zip(names, shapes, strict=True):
        if name not in known:
            raise ValueError(
                f"The snapshot does not fit the model {model.name!r}: it holds {name!r}, which the model "
                f"does not have. {did_you_mean(name, known, 'Use the model that it was taken of.')}"
            )
        if tuple(known[name].shape) != shape:
            raise ValueError(
                f"The snapshot does not fit the model {model.name!r}: it holds {name!r} of shape {shape}, "
                f"the model has it of shape {tuple(known[name].shape)}."
            )
    return [known[name] for name in names]
