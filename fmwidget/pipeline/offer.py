"""The images, steps of training and references that a user can choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fmwidget._errors import did_you_mean
from fmwidget.images.loading import free_name
from fmwidget.images.source import NamedImage
from fmwidget.references import (
    LIVE,
    LIVE_NAME,
    PREVIOUS_STEP,
    Reference,
    image_reference,
    snapshot_reference,
    step_name,
    step_of,
)

if TYPE_CHECKING:
    from fmwidget.snapshots.recorder import WeightSnapshots
    from fmwidget.snapshots.snapshot import Snapshot


@dataclass(eq=False)
class Offer:
    """The images, steps of training and references that a user can choose from.

    Attributes:
        images: The images, by name.
        snapshots: The snapshots of training; `None` for none.
        passed: The references that the user has passed, by name.
        run: The snapshots as of the last `renew`, by step: all that is computed in one action has the same.
    """

    images: Mapping[str, NamedImage]
    snapshots: WeightSnapshots | None = None
    passed: Mapping[str, Reference] = field(default_factory=dict)
    run: tuple[Snapshot, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Offer the snapshots that there are now."""
        if self.snapshots is not None:
            self.run = self.snapshots.snapshots

    def add_image(self, name: str, data: bytes) -> NamedImage:
        """Offer one more image, the bytes of a file.

        Returns:
            The image, under `name` or the next free name like it.

        Raises:
            ImageError: If the bytes are no image that can be used.
        """
        image = NamedImage(data, free_name(name, self.images))
        image.thumbnail()  # raises `ImageError`
        self.images = {**self.images, image.name: image}
        return image

    def snapshot(self, step: int) -> Snapshot | None:
        """Return the snapshot of a step; `None` for the model's own weights.

        Raises:
            ValueError: If there is no such step.
        """
        if step == LIVE:
            return None
        if self.snapshots is None:
            raise ValueError(
                f"There are no snapshots, only the live weights: step must be {LIVE}. Received {step}. Pass "
                "snapshots=."
            )
        for each in self.run:
            if each.step == step:
                return each
        try:
            return self.snapshots[step]
        except KeyError as error:
            raise ValueError(str(error.args[0])) from None

    def nearest_step(self, step: int) -> int:
        """Return the step, or if its snapshot has been dropped the nearest one that is kept."""
        steps = [each.step for each in self.run]
        return step if step == LIVE or not steps else min(steps, key=lambda kept: abs(kept - step))

    def references(self, image: str, step: int, against: str) -> dict[str, str]:
        """Return the names of the references on offer, with a label for each.

        Those that the user has passed, some steps of training, the other images, and the one in use.

        Args:
            image: Name of the image on screen.
            step: The step on screen: compared with, it stays while the user goes on to others.
            against: Name of the reference in use; empty for none.
        """
        run, names = self.run, list(self.passed)
        if run:
            steps = (run[0].step, step, run[-1].step)
            names += [PREVIOUS_STEP, LIVE_NAME, *map(step_name, steps)]
        if names:
            names += [name for name in self.images if name != image]
        if against:
            names.append(against)
        labels = {step_name(each.step): f"{step_name(each.step)}: {each.name}" for each in run}
        return {name: labels.get(name, name) for name in names}

    def reference(self, name: str, step: int) -> Reference:
        """Return the reference of a name.

        Args:
            name: The name.
            step: The step on screen, which the previous step is before.

        Raises:
            ValueError: If there is none of this name.
        """
        run = self.run
        if name in self.passed:
            return self.passed[name]
        if name in self.images:
            return image_reference(self.images[name])
        if name == LIVE_NAME:
            return snapshot_reference(name, None)
        if name == PREVIOUS_STEP and run:
            earlier = [each for each in run if step == LIVE or each.step < step]
            return snapshot_reference(name, earlier[-1] if earlier else run[0])
        number = step_of(name)
        for each in run:
            if each.step == number:
                return snapshot_reference(name, each)
        known = [*self.passed, *self.images, *(step_name(each.step) for each in run)]
        raise ValueError(
            f"There is nothing named {name!r} to compare with. {did_you_mean(name, known, 'Pass against=.')}"
        )

    def nearest_reference(self, name: str) -> str:
        """Return the name, or if it is that of a step that has been dropped the one of the nearest step."""
        step = step_of(name)
        if step is None or name in self.passed or name in self.images:
            return name
        return step_name(self.nearest_step(step))
