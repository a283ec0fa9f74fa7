"""References: another image, a step of training, a file of weights or another model to compare with."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from fmwidget._errors import did_you_mean
from fmwidget.activations.model import ActivationModel
from fmwidget.images.loading import free_name, load_images
from fmwidget.images.source import NamedImage
from fmwidget.models import introspection
from fmwidget.snapshots.checkpoints import file_source
from fmwidget.snapshots.recorder import WeightSnapshots
from fmwidget.snapshots.snapshot import Snapshot

LIVE = -1  # the step of the model's own weights
LIVE_NAME = "live weights"
PREVIOUS_STEP = "previous step"

Side = tuple[ActivationModel, NamedImage]


class Reference(NamedTuple):
    """Another image, other weights or another model that a frame is compared with.

    Attributes:
        name: The value of the trait `against`.
        side: Returns the model and the image to compare with, for those of the frame.
    """

    name: str
    side: Callable[[ActivationModel, NamedImage], Side]


def step_name(step: int) -> str:
    """Return the name of a step as a reference."""
    return LIVE_NAME if step == LIVE else f"step {step}"


def step_of(name: str) -> int | None:
    """Return the step that has a name as a reference; `None` if it is that of something else."""
    if name == LIVE_NAME:
        return LIVE
    found = re.fullmatch(r"step (\d+)", name)
    return int(found[1]) if found else None


def snapshot_reference(name: str, snapshot: Snapshot | None) -> Reference:
    """Return the reference to a snapshot, or to the model's own weights."""
    return Reference(name, lambda am, image: (am.at(snapshot), image))


def image_reference(image: NamedImage) -> Reference:
    """Return the reference to another image."""
    return Reference(image.name, lambda am, _image: (am, image))


def model_reference(name: str, other: ActivationModel) -> Reference:
    """Return the reference to another model."""
    return Reference(name, lambda _am, image: (other, image))


def find_references(
    against: Any,
    model: keras.Model,
    images: Mapping[str, NamedImage],
    run: WeightSnapshots | None,
    bands: Sequence[int] | None = None,
) -> dict[str, Reference]:
    """Return the references that a user passes as `against`, by their names.

    Args:
        against: The name of one of the images, or any source of images; the number of a step, or
            its name; a `Snapshot`, or a run of them; a path of a `.weights.h5` file of the same architecture,
            or of a `.keras` file; a model, or an `ActivationModel`; a dict from name to any of these; a list
            of any.
        model: The model that is compared; another of the same name is numbered.
        images: The images on offer.
        run: The snapshots on offer.
        bands: Indices of the channels of images to display.

    Raises:
        ValueError: If there is no such step, or nothing can be used.
        TypeError: If `against` is of another type.
        OSError: If a file cannot be read.
    """
    found: dict[str, Reference] = {}
    for name, value in _entries(against):
        for reference in _references(value, name, model=model, images=images, run=run, bands=bands):
            free = free_name(reference.name, found)
            found[free] = reference._replace(name=free)
    return found


def _entries(against: Any) -> list[tuple[str, Any]]:
    """Return what is passed one by one, each with its name or an empty one."""
    if against is None:
        return []
    if isinstance(against, Mapping):
        return [(str(name), value) for name, value in against.items()]
    if isinstance(against, list | tuple | WeightSnapshots):
        return [("", value) for value in against]
    return [("", against)]


def _references(
    value: Any,
    name: str,
    *,
    model: keras.Model,
    images: Mapping[str, NamedImage],
    run: WeightSnapshots | None,
    bands: Sequence[int] | None,
) -> list[Reference]:
    if isinstance(value, ActivationModel):
        return [model_reference(name or free_name(value.model.name, {model.name: None}), value)]
    if introspection.is_model(value):
        return _references(ActivationModel(value), name, model=model, images=images, run=run, bands=bands)
    if isinstance(value, Snapshot):
        return [snapshot_reference(name or value.name, value)]
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return [_step_reference(int(value), name, run)]
    if isinstance(value, str) and value in images:
        return [image_reference(images[value])._replace(name=name or value)]
    if isinstance(value, str) and run is not None and (step := step_of(value)) is not None:
        return [_step_reference(step, name, run)]
    if isinstance(value, str | os.PathLike) and str(value).endswith((".h5", ".keras")):
        return [_file_reference(Path(value), name)]
    loaded, problems = load_images({name: value} if name else value, bands)
    if problems:
        names = [*images, *([] if run is None else [step_name(each.step) for each in run])]
        hint = did_you_mean(value, names, "") if isinstance(value, str) else ""
        raise ValueError(" ".join(["`against` cannot be used.", *problems, hint]).rstrip())
    return [image_reference(image) for image in loaded.values()]


def _step_reference(step: int, name: str, run: WeightSnapshots | None) -> Reference:
    if step == LIVE:
        return snapshot_reference(name or LIVE_NAME, None)
    if run is None:
        raise ValueError(
            f"`against` is a step, but there are no snapshots. Received {step}. Pass snapshots= too."
        )
    try:
        return snapshot_reference(name or step_name(step), run[step])
    except KeyError as error:
        raise ValueError(error.args[0]) from None


def _file_reference(path: Path, name: str) -> Reference:
    source = file_source(path)
    if path.suffix == ".keras":
        if not zipfile.is_zipfile(path):  # Keras would say that there is no such file
            raise OSError(f"{path} cannot be read: it is no `.keras` file. Save it again with `model.save`.")
        # The file's own architecture: the same weights may be put to another use in it.
        other: Any = keras.models.load_model(path, compile=False)
        return model_reference(name or path.name, ActivationModel(other))
    snapshot = Snapshot(step=0, label=name or path.name, source=source)
    return snapshot_reference(name or path.name, snapshot)
