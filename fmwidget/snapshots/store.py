"""Values of variables in memory and in files, and the folder that holds a run of training.

A folder holds an index, `index.json`, and files of values. A value is written once, however many snapshots it
belongs to. Files never change: each is written under another name, then renamed; the index follows, and files
that it no longer names are deleted last. So the folder can be read after a kill at any moment.
"""

from __future__ import annotations

import json
import os
import re
import uuid
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fmwidget._buffers import same_bytes
from fmwidget.models import backends

from .snapshot import Snapshot, Weights, match_variables

if TYPE_CHECKING:
    import keras

Array = np.ndarray[Any, np.dtype[Any]]

INDEX = "index.json"
_OUR_FILES = re.compile(r"snapshot-\d+-[0-9a-f]{8}\.npz(\.part)?|index\.json\.part")


class Place(NamedTuple):
    """The place of a value in a folder.

    Attributes:
        file: The path of the file.
        member: The name of the array in it.
    """

    file: Path
    member: str


class Value:
    """The value of a variable, held in memory, in a file or, for a moment, in both.

    Args:
        held: A tensor or array; `None` if the value is in a file.
        place: The place of the value in a folder, if it has one.
        dtype: Name of its type; needed without `held`.
        shape: Its shape; needed without `held`.
    """

    __slots__ = ("_dtype", "_shape", "held", "place")

    def __init__(
        self, held: Any, place: Place | None = None, dtype: str = "", shape: Sequence[int] = ()
    ) -> None:
        self.held = held
        self.place = place
        self._dtype, self._shape = dtype, tuple(shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        held = self.held
        return self._shape if held is None else tuple(held.shape)

    @property
    def dtype(self) -> str:
        """Name of the type, such as `bfloat16`."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """Bytes of an array that is held."""
        return 0 if self.held is None else int(self.to_array().nbytes)

    def to_array(self) -> Array:
        """Hold the value as an array, off the device that it may be on, and return the array."""
        array = self.held
        if not isinstance(array, np.ndarray):
            array = backends.current().to_numpy(array)
        self._dtype, self._shape = array.dtype.name, array.shape
        self.held = array
        return array

    def release(self) -> None:
        """Hold no array where the value is in a file."""
        if self.place is not None:
            self.held = None


class StoredWeights:
    """The weights of a model as values of which other snapshots may have some too.

    Args:
        names: Names of the variables, as of `backends.Backend.named_variables`.
        values: The value of each.
    """

    def __init__(self, names: Sequence[str], values: Sequence[Value]) -> None:
        self.names = names
        self.values = list(values)

    def weights(self, model: keras.Model) -> Weights:
        """Return the values for a model's variables; see `match_variables`."""
        values = list(self.values)
        variables = match_variables(model, self.names, [value.shape for value in values])
        return Weights(variables, read_values(values))


def read_values(values: Sequence[Value]) -> list[Any]:
    """Return each value as a tensor or array, read from its file where it is not held.

    Raises:
        OSError: If a file is missing or damaged.
    """
    found: dict[int, Any] = {}
    in_files: dict[Path, dict[str, Value]] = defaultdict(dict)
    for value in values:
        held, place = value.held, value.place  # in this order: a value has a place before it is released
        if held is not None:
            found[id(value)] = held
        elif (place := place or value.place) is not None:
            in_files[place.file][place.member] = value
    for path, members in in_files.items():
        try:
            # Opened here, since numpy leaves a damaged file open.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                for member, value in members.items():
                    array = arrays[member].view(np.dtype(value.dtype))
                    found[id(value)] = array.reshape(value.shape)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"The weights of this step are in {path}, which is no longer there. Choose another step."
            ) from None
        except (OSError, ValueError, LookupError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise OSError(
                f"The weights of this step are in {path}, which cannot be read ({error}). Choose another "
                "step."
            ) from error
    return [found[id(value)] for value in values]


def is_same_value(some: Array, other: Array) -> bool:
    """Return whether two arrays have the same type, shape and bytes."""
    if some.dtype != other.dtype or some.shape != other.shape:
        return False
    if some.__array_interface__["data"] == other.__array_interface__["data"]:
        return True
    return same_bytes(*(np.ascontiguousarray(each).reshape(-1).view(np.uint8) for each in (some, other)))


class SnapshotFolder:
    """The folder of a run.

    Args:
        path: Path of the folder; it is created with the first file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def holds_a_run(self) -> bool:
        """True if there is an index."""
        return (self.path / INDEX).is_file()

    def write_values(self, step: int, values: Iterable[Value]) -> None:
        """Write values that are in no file yet to a file of their own.

        Args:
            step: Number of the snapshot, for the name of the file.
            values: The values; those that have a place already are left out.

        Raises:
            OSError: If they cannot be written.
        """
        new = list({id(value): value for value in values if value.place is None}.values())
        if not new:
            return
        # A name of its own, so that no file is replaced that an index names.
        path = self.path / f"snapshot-{step:06d}-{uuid.uuid4().hex[:8]}.npz"
        members = {str(number): _plain(value.to_array()) for number, value in enumerate(new)}
        self._write(path, lambda file: np.savez(file, allow_pickle=False, **members))
        for member, value in zip(members, new, strict=True):
            value.place = Place(path, member)

    def write_index(self, snapshots: Iterable[Snapshot]) -> None:
        """Write the index, then delete the files that it does not name.

        Args:
            snapshots: Snapshots whose values are all in files.

        Raises:
            OSError: If it cannot be written.
        """
        entries: list[dict[str, Any]] = []
        numbers: dict[int, int] = {}  # the place of each value in the list of values, by the id of the value
        values: list[dict[str, Any]] = []
        files = set()
        for snapshot in snapshots:
            source: Any = snapshot.source
            for value in source.values:
                if id(value) not in numbers:
                    numbers[id(value)] = len(values)
                    file, member = value.place.file.name, value.place.member
                    values.append(
                        {"file": file, "member": member, "dtype": value.dtype, "shape": list(value.shape)}
                    )
                    files.add(file)
            entries.append(
                {
                    "step": snapshot.step,
                    "epoch": snapshot.epoch,
                    "batches": snapshot.batches,
                    "label": snapshot.label,
                    "logs": dict(snapshot.logs),
                    "variables": {
                        name: numbers[id(value)]
                        for name, value in zip(source.names, source.values, strict=True)
                    },
                }
            )
        text = json.dumps({"snapshots": entries, "values": values}, ensure_ascii=False)
        self._write(self.path / INDEX, lambda file: file.write(text.encode()))
        for path in self.path.iterdir():
            if _OUR_FILES.fullmatch(path.name) and path.name not in files:
                try:
                    path.unlink()
                except OSError:  # in use on Windows: the next time will do
                    continue

    def read_index(self) -> list[Snapshot]:
        """Return the snapshots of the run; their values are read when they are used.

        Raises:
            ValueError: If the index is damaged.
            OSError: If it cannot be read.
        """
        path = self.path / INDEX
        content = path.read_bytes()
        try:
            index = json.loads(content)
            values = [
                Value(
                    None,
                    Place(self.path / Path(each["file"]).name, each["member"]),
                    each["dtype"],
                    each["shape"],
                )
                for each in index["values"]
            ]
            snapshots = [_snapshot(entry, values) for entry in index["snapshots"]]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(
                f"{path} is not the index of a run of snapshots, or is damaged ({error!r}). Load another "
                "folder."
            ) from error
        return snapshots

    def _write(self, path: Path, write: Callable[[IO[bytes]], object]) -> None:
        """Write a file so that at any moment the whole file is there, or the one before it."""
        self.path.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def _snapshot(entry: dict[str, Any], values: Sequence[Value]) -> Snapshot:
    source = StoredWeights(list(entry["variables"]), [values[at] for at in entry["variables"].values()])
    fields = {name: entry[name] for name in ("step", "epoch", "batches", "label", "logs")}
    return Snapshot(**fields, source=source)


def _plain(array: Array) -> Array:
    """Return an array as one of numpy's own types, which files of numpy can hold."""
    return array if array.dtype.isbuiltin == 1 else array.view(f"u{array.dtype.itemsize}")
