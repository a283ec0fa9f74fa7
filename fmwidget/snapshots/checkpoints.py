"""Files of weights that Keras has written: `.weights.h5`, `.keras` and the older `.h5`."""

from __future__ import annotations

import glob
import os
import re
import string
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fmwidget.models import backends, introspection

from .snapshot import Snapshot, Weights, WeightSource

if TYPE_CHECKING:
    import keras

ENDINGS = (".keras", ".h5")
_COUNT = r"\d+"
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"


def file_source(path: str | os.PathLike[str]) -> WeightSource:
    """Return the weights in a file, for any model of the architecture that they were saved from.

    Args:
        path: Path of a `.weights.h5`, `.keras` or `.h5` file. It is read whenever the weights are used.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its name has another ending.
    """
    path = Path(path)
    if not path.name.endswith(ENDINGS):
        raise ValueError(f"Weights are read from .weights.h5, .keras and .h5 files. Received {str(path)!r}.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    return _FileWeights(path)


@dataclass(frozen=True)
class _FileWeights:
    """Weights in a file.

    Attributes:
        path: Path of the file.
    """

    path: Path

    def weights(self, model: keras.Model) -> Weights:
        """Return the values for a model's variables; the model is not changed.

        Keras loads them into the model in an isolated pass, in which all that is written goes to stand-ins.

        Raises:
            ValueError: If they do not fit the model.
            OSError: If the file cannot be read.
        """
        if not model.built:
            raise ValueError(
                f"The model {model.name!r} has no weights yet, so {self.path} cannot be matched to it. Call "
                "it on a batch first."
            )
        if not self.path.is_file():
            raise FileNotFoundError(f"There is no file {str(self.path)!r} any more.")
        variables = list(backends.current().named_variables(model).values())

        def load() -> list[Any]:
            with warnings.catch_warnings():
                # The optimizer's variables may be in the file too. They are not used.
                warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
                model.load_weights(self.path)
            return backends.current().read(variables)

        constants = _constants(model)
        try:
            values = backends.current().isolated(load, is_building=lambda: False)
        except OSError as error:
            raise OSError(f"{self.path} cannot be read: {error}.") from error
        except Exception as error:
            raise ValueError(
                f"The weights in {self.path} do not fit the model {model.name!r}, or the file is damaged. "
                f"Use a file that was saved from a model of the same architecture. Keras reports: {error}"
            ) from error
        finally:
            changed = _restore(constants)
        if changed:
            raise ValueError(
                f"{self.path} holds other constants for {changed} than the model {model.name!r}. Load the "
                "file into a model of its own, and compare with that model."
            )
        return Weights(variables, values)


def _constants(model: keras.Model) -> list[tuple[Any, dict[str, Any]]]:
    """Return the tensors and arrays that layers have as attributes, some of which Keras sets in loading.

    `Normalization` has its mean and variance so: constants of the model, which are not variables.
    """
    return [
        (layer, {name: value for name, value in list(vars(layer).items()) if hasattr(value, "shape")})
        for layer in introspection.all_sublayers(model)
    ]


def _restore(constants: list[tuple[Any, dict[str, Any]]]) -> str:
    """Set constants back; return the names of the layers where the numbers had become others."""
    others = []
    for layer, before in constants:
        changed = {name: value for name, value in before.items() if vars(layer).get(name) is not value}
        if not all(_is_equal(vars(layer).get(name), value) for name, value in changed.items()):
            others.append(repr(layer.name))
        vars(layer).update(changed)
    return ", ".join(others)


def _is_equal(some: Any, other: Any) -> bool:
    return some is other or bool(np.array_equal(np.asarray(some), np.asarray(other)))


def find_checkpoints(path: str | os.PathLike[str]) -> list[Snapshot]:
    """Return snapshots of the files of weights that a path stands for, in natural order.

    Args:
        path: A file, a folder, a pattern as of `glob`, or a pattern as of `keras.callbacks.ModelCheckpoint`,
            such as `"run/{epoch:02d}-{val_loss:.2f}.weights.h5"`. From the fields of the last one epochs
            and metrics are read; the step is the epoch, if no two files have the same.

    Raises:
        FileNotFoundError: If there are no such files.
    """
    text = os.fspath(path)
    fields = _fields(text)
    if Path(text).is_dir():
        candidates = [str(each) for each in Path(text).iterdir()]
    elif Path(text).is_file() or not (fields or glob.has_magic(text)):
        candidates = [text]
    else:
        candidates = glob.glob(_as_glob(text) if fields else text, recursive=True)  # noqa: PTH207 - any path
    files = [each for each in candidates if each.endswith(ENDINGS) and Path(each).is_file()]
    matches = {each: match.groupdict() for each in files if (match := _matched(text, fields, each))}
    if not matches:
        raise FileNotFoundError(
            f"There are no snapshots and no files of weights ({', '.join(ENDINGS)}) at {text!r}. Pass a "
            "folder that WeightSnapshots or ModelCheckpoint has written, or a pattern of files."
        )
    return _snapshots({each: matches[each] for each in sorted(matches, key=_natural)})


def _snapshots(files: dict[str, dict[str, str]]) -> list[Snapshot]:
    epochs = [int(found["epoch"]) if "epoch" in found else None for found in files.values()]
    order: Sequence[int] = range(len(files))
    if None not in epochs:
        order = sorted(order, key=lambda at: epochs[at] or 0)
    known = [epoch for epoch in epochs if epoch is not None]
    is_numbered = len(set(known)) == len(files)
    names = list(files)
    return [
        Snapshot(
            step=epochs[at] or 0 if is_numbered else number,
            epoch=epochs[at],
            label="" if is_numbered else _stem(names[at]),
            logs={name: float(value) for name, value in files[names[at]].items() if name != "epoch"},
            source=file_source(names[at]),
        )
        for number, at in enumerate(order)
    ]


def _fields(text: str) -> list[str]:
    """Return the names of the fields of a pattern as of `ModelCheckpoint`, in order."""
    try:
        return [name for _, name, _, _ in string.Formatter().parse(text) if name]
    except ValueError:  # braces that do not match: a plain path
        return []


def _as_glob(pattern: str) -> str:
    parts = string.Formatter().parse(pattern)
    return "".join(f"{glob.escape(literal)}{'' if name is None else '*'}" for literal, name, _, _ in parts)


def _matched(pattern: str, fields: Sequence[str], path: str) -> re.Match[str] | None:
    """Return the match of a path with a pattern; the groups are its fields."""
    if not fields:
        return re.match("", path)
    expression, seen = "", set()
    for literal, name, _, _ in string.Formatter().parse(Path(pattern).as_posix()):
        expression += re.escape(literal)
        if name in seen:
            expression += f"(?P={name})"
        elif name is not None:
            seen.add(name)
            group = f"?P<{name}>" if name.isidentifier() else ""
            expression += f"({group}{_COUNT if name in ('epoch', 'batch') else _NUMBER})"
    return re.fullmatch(expression, Path(path).as_posix())


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key by which `epoch-10` comes after `epoch-9`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def _stem(path: str) -> str:
    name = Path(path).name
    return name[: -len(".weights.h5")] if name.endswith(".weights.h5") else Path(path).stem
