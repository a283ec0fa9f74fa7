"""One side of a frame: from an image and weights to feature maps and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fmwidget._memo import Latest
from fmwidget.activations.layers import FeatureLayer
from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.channel_stats import channel_statistics
from fmwidget.analysis.depth_profile import DepthProfile, depth_profile
from fmwidget.images.source import NamedImage
from fmwidget.models.batch import ExtraInputs, image_array, input_image, model_batch, resolve_scaling

if TYPE_CHECKING:
    from fmwidget.analysis.channel_stats import Array
    from fmwidget.models.input_scaling import Scaling
    from fmwidget.models.inputs import Batch

    from .frame import ViewState


class Side(NamedTuple):
    """All that is computed for one image with one set of weights, of one layer.

    Attributes:
        activations: Runs the model.
        image: The image.
        batch: The model's input.
        scaling: The scaling of the image in it.
        outputs: The model's outputs, without the batch axis.
        layer: The layer.
        maps: Its feature maps `(H, W, C)`, read-only.
    """

    activations: ActivationModel
    image: NamedImage
    batch: Batch
    scaling: Scaling
    outputs: Any
    layer: FeatureLayer
    maps: Array


class Evaluation:
    """The steps from an image to a `Side`; each is repeated only if its input has changed.

    Args:
        inputs: The model's inputs other than the image, by name.

    Attributes:
        version: Number of the model's own weights, as of the last check: see `ActivationModel.version`.
    """

    def __init__(self, inputs: ExtraInputs | None) -> None:
        self.version = 0
        self._scaling = Latest(resolve_scaling)
        self._batch = Latest(
            lambda model, array, preprocess, fit: model_batch(model, array, preprocess, fit, inputs)
        )
        self._maps = Latest(lambda am, batch, path, _key: am.activations(batch, path, version=self.version))
        self._answer = Latest(lambda am, batch, _key: am.predictions_and_layers(batch, version=self.version))
        self._profile = Latest(lambda am, batch, _key: depth_profile(am, [batch]))
        self.input_image = Latest(input_image)
        self.statistics = Latest(channel_statistics)

    def prepare(self, am: ActivationModel, image: NamedImage, state: ViewState) -> tuple[Batch, Scaling]:
        """Return the model's input, and the scaling of the image in it."""
        array = image_array(am.model, image)
        scaling = self._scaling(am.model, state.preprocess, array.shape[2])
        preprocess = state.preprocess if callable(state.preprocess) else scaling.name
        return self._batch(am.model, array, preprocess, state.fit), scaling

    def side(
        self, am: ActivationModel, image: NamedImage, path: str, prepared: tuple[Batch, Scaling]
    ) -> Side:
        """Return all that is computed of a layer.

        Args:
            am: Runs the model.
            image: The image.
            path: Path of the layer.
            prepared: The result of `prepare`.
        """
        batch, scaling = prepared
        maps = self.maps(am, batch, path)
        layer = next(layer for layer in self.layers(am, batch) if layer.path == path)
        return Side(am, image, batch, scaling, self.outputs(am, batch), layer, maps)

    def maps(self, am: ActivationModel, batch: Batch, path: str) -> Array:
        """Return a layer's feature maps `(H, W, C)`, read-only."""
        return self._maps(am, batch, path, self.key(am))

    def outputs(self, am: ActivationModel, batch: Batch) -> Any:
        """Return the model's outputs, without the batch axis."""
        return self._answer(am, batch, self.key(am))[0]

    def layers(self, am: ActivationModel, batch: Batch) -> tuple[FeatureLayer, ...]:
        """Return the layers that have feature maps; in some models these depend on the image."""
        return self._answer(am, batch, self.key(am))[1]

    def profile(self, am: ActivationModel, batch: Batch) -> DepthProfile:
        """Return the depth profile of the image."""
        return self._profile(am, batch, self.key(am))

    def key(self, am: ActivationModel) -> int:
        """Return a number that changes with the weights; those of a snapshot never do."""
        return self.version if am.snapshot is None else -1
