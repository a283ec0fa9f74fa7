"""Recognition of the `keras.applications` architecture families, and the input scaling of each."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .introspection import operations

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Family:
    """An architecture family: networks with the same input scaling and similar first layers.

    Users rename networks and cut off their ends, so a family is recognised by its first layers. All names are
    compared in lower case, with `_` for `/`; patterns are regular expressions.

    Attributes:
        title: Name of the family in messages.
        scaling: One of `preprocessing.SCALINGS`.
        model: Pattern of the name that Keras gives the whole network; empty if that is ambiguous.
        first: Pattern of the name of the first layer with weights, or of a model that holds it.
        kernel: Height of that layer's kernel, and the number of its filters or `None` if that varies.
        others: Patterns of names that must occur too.
        never: Pattern of a name that must not occur.
    """

    title: str
    scaling: str
    model: str
    first: str
    kernel: tuple[int, int | None]
    others: tuple[str, ...]
    never: str = ""

    def matches(self, first: set[str], kernel: tuple[int, int], names: set[str]) -> bool:
        """Return whether a network is of this family.

        Args:
            first: Names of the first layer with weights and of the models that hold it.
            kernel: Height of that layer's kernel and number of its filters.
            names: Names of all operations.
        """
        return (
            _any_matches(self.first, first)
            and kernel[0] == self.kernel[0]
            and self.kernel[1] in (kernel[1], None)
            and all(_any_matches(other, names) for other in self.others)
            and not (self.never and _any_matches(self.never, names))
        )


FAMILIES = (
    Family("VGG", "caffe", "vgg(16|19)", "block1_conv1", (3, 64), ("block1_conv2",), "block1_conv1_bn"),
    Family("ResNet", "caffe", "resnet(50|101|152)", "conv1_conv", (7, 64), ("conv1_pad", "conv1_bn")),
    Family("ResNet", "caffe", "resnet50", "conv1", (7, 64), ("bn_conv1", "res2a_branch2a")),  # until 2019
    Family("ResNetV2", "tf", "resnet(50|101|152)v2", "conv1_conv", (7, 64), ("conv2_block1_preact_bn",)),
    Family("InceptionV3", "tf", "inception_v3", r"conv2d(_\d+)?", (3, 32), ("mixed0",)),
    Family("InceptionResNetV2", "tf", "inception_resnet_v2", r"conv2d(_\d+)?", (3, 32), ("mixed_5b",)),
    Family("Xception", "tf", "xception", "block1_conv1", (3, 32), ("block1_conv1_bn",)),
    Family("MobileNet", "tf", r"mobilenet_[\d.]+_\d+", "conv1", (3, None), ("conv1_bn", "conv_dw_1")),
    Family("MobileNetV2", "tf", r"mobilenetv2_[\d.]+_\d+", "conv1", (3, None), ("bn_conv1", "conv1_relu")),
    Family("NASNet", "tf", "nasnet(_mobile|_large)?", "stem_conv1", (3, None), ("stem_bn1",)),
    Family("DenseNet", "torch", r"densenet\d*", "conv1_conv", (7, 64), ("conv1_bn",), "conv1_pad"),
    # These scale their input themselves, unless built with `include_preprocessing=False` as here. Where Keras
    # documents −1…1 but normalises by mean and std (EfficientNetV2-B0…B3), the weights need the latter.
    Family("MobileNetV3", "tf", "", "conv", (3, 16), ("expanded_conv_depthwise",)),
    Family("EfficientNetV2", "tf", "", "stem_conv", (3, None), ("block1a_add",)),
    Family("EfficientNet", "torch", "", "stem_conv", (3, None), ("block1a_project_conv",), "block1a_add"),
    Family("ConvNeXt", "torch", "", ".*_stem", (4, None), (".*_stage_0_block_0_depthwise_conv",)),
)  # fmt: skip


def find_family(layer: Any, models: tuple[keras.Model, ...]) -> tuple[Family, bool] | None:
    """Find the architecture family of a model.

    Args:
        layer: The first layer with weights that the model's input reaches.
        models: The models that hold this layer, outermost first.

    Returns:
        The family, and whether it was recognised by its layers rather than by its name alone; `None` if the
        model is of no known family.
    """
    shape = [tuple(weight.shape) for weight in getattr(layer, "weights", [])[:1]]
    kernel = (shape[0][0], shape[0][-1]) if shape and len(shape[0]) == 4 else (0, 0)
    for depth in reversed(range(len(models))):
        first = set(map(_plain_name, (*models[depth + 1 :], layer)))
        names = set(map(_plain_name, operations(models[depth])))
        for family in FAMILIES:
            if family.matches(first, kernel, names):
                return family, True
    for model, family in itertools.product(reversed(models), FAMILIES):
        if re.fullmatch(family.model, model.name.lower()):
            return family, False
    return None


def _plain_name(layer: Any) -> str:
    return str(layer.name).lower().replace("/", "_")


def _any_matches(pattern: str, names: set[str]) -> bool:
    return any(re.fullmatch(pattern, name) for name in names)
