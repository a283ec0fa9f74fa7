"""Recognises the networks of `keras.applications` and says how each wants its pictures scaled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Family:
    """Networks that share an input scaling.

    Attributes:
        title: What it is called.
        scaling: One of `preprocessing.SCALINGS`.
        confirmed: Whether the layers agree; otherwise only the model's name does.
    """

    title: str
    scaling: str
    confirmed: bool = True


@dataclass(frozen=True)
class _Marks:
    """What a family is recognised by.

    Models get renamed and cut off, so the marks are names of early layers (in lower case, `/` as `_`) and the
    first kernel: its size and, if always the same, its number. `model` is the name of the network as Keras
    builds it, empty where that says nothing.
    """

    family: Family
    model: str
    first: str
    kernel: tuple[int, int | None]
    others: tuple[str, ...]
    never: str = ""

    def fit(self, first: set[str], kernel: tuple[int, int], names: set[str]) -> bool:
        return (
            _any(self.first, first)
            and kernel[0] == self.kernel[0]
            and self.kernel[1] in (kernel[1], None)
            and all(_any(other, names) for other in self.others)
            and not (self.never and _any(self.never, names))
        )


_MARKS = (
    _Marks(
        Family("VGG", "caffe"), r"vgg(16|19)", "block1_conv1", (3, 64), ("block1_conv2",), "block1_conv1_bn"
    ),
    _Marks(
        Family("ResNet", "caffe"), r"resnet(50|101|152)", "conv1_conv", (7, 64), ("conv1_pad", "conv1_bn")
    ),
    _Marks(
        Family("ResNet", "caffe"), "resnet50", "conv1", (7, 64), ("bn_conv1", "res2a_branch2a")
    ),  # until 2019
    _Marks(
        Family("ResNetV2", "tf"),
        r"resnet(50|101|152)v2",
        "conv1_conv",
        (7, 64),
        ("conv1_pad", "conv2_block1_preact_bn"),
    ),
    _Marks(Family("InceptionV3", "tf"), "inception_v3", r"conv2d(_\d+)?", (3, 32), ("mixed0",)),
    _Marks(
        Family("InceptionResNetV2", "tf"), "inception_resnet_v2", r"conv2d(_\d+)?", (3, 32), ("mixed_5b",)
    ),
    _Marks(Family("Xception", "tf"), "xception", "block1_conv1", (3, 32), ("block1_conv1_bn",)),
    _Marks(Family("MobileNet", "tf"), r"mobilenet_[\d.]+_\d+", "conv1", (3, None), ("conv1_bn", "conv_dw_1")),
    _Marks(
        Family("MobileNetV2", "tf"),
        r"mobilenetv2_[\d.]+_\d+",
        "conv1",
        (3, None),
        ("bn_conv1", "expanded_conv_depthwise"),
    ),
    _Marks(Family("NASNet", "tf"), r"nasnet(_mobile|_large)?", "stem_conv1", (3, None), ("stem_bn1",)),
    _Marks(
        Family("DenseNet", "torch"),
        r"densenet(121|169|201)?",
        "conv1_conv",
        (7, 64),
        ("conv1_bn",),
        "conv1_pad",
    ),
    # These scale their input themselves; here they are as built with `include_preprocessing=False`.
    _Marks(Family("MobileNetV3", "tf"), "", "conv", (3, 16), ("expanded_conv_depthwise",)),
    _Marks(Family("EfficientNetV2", "tf"), "", "stem_conv", (3, None), ("stem_bn", "block1a_add")),
    _Marks(
        Family("EfficientNet", "torch"),
        "",
        "stem_conv",
        (3, None),
        ("stem_bn", "block1a_project_conv"),
        "block1a_add",
    ),
    _Marks(Family("ConvNeXt", "torch"), "", r".*_stem", (4, None), (r".*_stage_0_block_0_depthwise_conv",)),
)


def find_family(layer: Any, models: tuple[keras.Model, ...]) -> Family | None:
    """Which family a model is from.

    Args:
        layer: The first layer with weights that its input reaches.
        models: The models that layer is in, outermost first.

    Returns:
        The family, or `None` for a network of one's own.
    """
    shape = [tuple(weight.shape) for weight in getattr(layer, "weights", [])[:1]]
    kernel = (shape[0][0], shape[0][-1]) if shape and len(shape[0]) == 4 else (0, 0)
    for depth in reversed(range(len(models))):
        first = {_plain(each) for each in (*models[depth + 1 :], layer)}
        names = {_plain(each) for each in getattr(models[depth], "operations", models[depth].layers)}
        for marks in _MARKS:
            if marks.fit(first, kernel, names):
                return marks.family
    for model in reversed(models):
        for marks in _MARKS:
            if re.fullmatch(marks.model, model.name.lower()):
                return Family(marks.family.title, marks.family.scaling, confirmed=False)
    return None


def _plain(layer: Any) -> str:
    return str(layer.name).lower().replace("/", "_")


def _any(pattern: str, names: set[str]) -> bool:
    return any(re.fullmatch(pattern, name) for name in names)
