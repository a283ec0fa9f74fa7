"""The input scaling a model wants, against Keras' own `preprocess_input`."""

from __future__ import annotations

import inspect
import random
import sys
from types import FunctionType

import keras
import numpy as np
import pytest
from keras import applications, layers, ops

from fmwidget.images.preprocessing import prepare
from fmwidget.models.input_scaling import detect_scaling

SIZE = 80  # every network takes it
PICTURE = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)

# The smallest member of each family, the module of its preprocess_input, an early layer to cut it off at.
FAMILIES = {
    "VGG16": ("vgg16", "block1_pool"),
    "VGG19": ("vgg19", "block2_conv1"),
    "ResNet50": ("resnet", "conv2_block1_out"),
    "ResNet50V2": ("resnet_v2", "conv2_block1_out"),
    "InceptionV3": ("inception_v3", "mixed0"),
    "InceptionResNetV2": ("inception_resnet_v2", "mixed_5b"),
    "Xception": ("xception", "block2_pool"),
    "MobileNet": ("mobilenet", "conv_pw_1_relu"),
    "MobileNetV2": ("mobilenet_v2", "block_1_expand"),
    "MobileNetV3Small": ("mobilenet_v3", "expanded_conv_project"),
    "NASNetMobile": ("nasnet", "reduction_concat_stem_1"),
    "DenseNet121": ("densenet", "conv2_block1_concat"),
    "EfficientNetB0": ("efficientnet", "block1a_project_bn"),
    "EfficientNetV2B0": ("efficientnet_v2", "block1a_project_conv"),
    "EfficientNetV2S": ("efficientnet_v2", "block1a_add"),
    "ConvNeXtTiny": ("convnext", "convnext_tiny_stage_0_block_0_identity"),
}
QUICK = {"VGG16", "ResNet50", "MobileNetV2", "MobileNetV3Small"}
WITHOUT_PREPROCESSING = ("MobileNetV3Small", "EfficientNetV2B0", "EfficientNetV2S", "ConvNeXtTiny")


def slow_but(quick, names):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def network(name, **options):
    return getattr(applications, name)(
        weights=None, include_top=False, input_shape=(SIZE, SIZE, 3), **options
    )


def model_of(function, shape=(16, 16, 3), **options):
    picture = keras.Input(shape, **options)
    return keras.Model(picture, function(picture))


def head(x):
    return layers.Dense(2)(layers.GlobalAveragePooling2D()(x))


def conv(x):
    return head(layers.Conv2D(4, 3)(x))


@pytest.mark.parametrize("name", slow_but(QUICK, FAMILIES))
def test_every_family_gets_what_its_own_preprocess_input_makes(name):
    module, early = FAMILIES[name]
    batch = PICTURE[np.newaxis].astype(np.float32)
    expected = getattr(applications, module).preprocess_input(batch.copy(), data_format="channels_last")
    backbone = network(name)
    cut_off = keras.Model(backbone.input, backbone.get_layer(early).output)

    variants = {
        "as it comes": backbone,
        "cut off": cut_off,
        "cut off and nested": keras.Sequential([keras.Input((SIZE, SIZE, 3)), cut_off, layers.Flatten()]),
        "grown a head": keras.Model(backbone.input, head(backbone.output)),
        "nested": model_of(lambda x: head(backbone(layers.RandomFlip()(x), training=False)), (SIZE, SIZE, 3)),
        "nested twice": model_of(model_of(backbone, (SIZE, SIZE, 3)), (SIZE, SIZE, 3)),
        "in an unbuilt Sequential": keras.Sequential(
            [layers.RandomRotation(0.1), backbone, layers.Flatten()]
        ),
    }
    found = {variant: detect_scaling(model) for variant, model in variants.items()}
    backbone.name = "features"
    found["renamed"] = detect_scaling(backbone)
    found["renamed and nested"] = detect_scaling(model_of(lambda x: head(backbone(x)), (SIZE, SIZE, 3)))
    for variant, scaling in found.items():
        assert scaling.known, variant
        prepared = prepare(PICTURE, (SIZE, SIZE, 3), scaling.name)
        np.testing.assert_array_equal(prepared, expected, err_msg=variant)


CONSTRUCTORS = [name for name in dir(applications) if isinstance(getattr(applications, name), FunctionType)]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_every_network_there_is_gets_what_its_own_preprocess_input_makes(name):
    constructor = getattr(applications, name)
    batch = PICTURE[np.newaxis].astype(np.float32)
    expected = sys.modules[constructor.__module__].preprocess_input(batch.copy(), data_format="channels_last")
    backbone = network(name)
    nested = model_of(lambda x: head(backbone(x)), (SIZE, SIZE, 3))
    for model in (backbone, nested):
        scaling = detect_scaling(model)
        assert scaling.known
        np.testing.assert_array_equal(prepare(PICTURE, (SIZE, SIZE, 3), scaling.name), expected)
    if "include_preprocessing" in inspect.signature(constructor).parameters:
        for layer in backbone.layers[1:]:
            if not isinstance(layer, layers.Rescaling | layers.Normalization):
                break
            expected = layer(expected)
        bare = network(name, include_preprocessing=False)
        scaling = detect_scaling(bare)
        assert scaling.known
        np.testing.assert_allclose(prepare(PICTURE, (SIZE, SIZE, 3), scaling.name), expected, atol=0.01)


def test_no_network_is_left_out():
    assert len(CONSTRUCTORS) >= 40
    assert {*FAMILIES} <= {*CONSTRUCTORS}


@pytest.mark.parametrize("name", slow_but({"MobileNetV3Small"}, WITHOUT_PREPROCESSING))
def test_a_network_built_without_its_preprocessing_gets_the_same_from_outside(name):
    expected = PICTURE[np.newaxis].astype(np.float32)
    for layer in network(name).layers[1:]:
        if not isinstance(layer, (layers.Rescaling, layers.Normalization)):
            break
        expected = layer(expected)
    scaling = detect_scaling(network(name, include_preprocessing=False))
    assert scaling.known
    # Keras documents −1…1 for EfficientNetV2-S and divides by 128 itself.
    np.testing.assert_allclose(prepare(PICTURE, (SIZE, SIZE, 3), scaling.name), expected, atol=0.01)


@pytest.mark.parametrize("name", slow_but({"VGG16", "MobileNetV2"}, ("VGG16", "MobileNetV2", "DenseNet121")))
def test_keras_two_ways_to_do_transfer_learning_come_to_the_same(name):
    backbone = network(name)
    preprocess_input = getattr(applications, FAMILIES[name][0]).preprocess_input
    inside = model_of(lambda x: backbone(preprocess_input(x), training=False), (SIZE, SIZE, 3))
    lambda_inside = model_of(lambda x: backbone(layers.Lambda(preprocess_input)(x)), (SIZE, SIZE, 3))
    outside = model_of(lambda x: backbone(x, training=False), (SIZE, SIZE, 3))
    expected = backbone(preprocess_input(PICTURE[np.newaxis].astype(np.float32)), training=False)
    for model, scales_itself in ((inside, True), (lambda_inside, True), (outside, False)):
        scaling = detect_scaling(model)
        assert scaling.known
        assert (scaling.name == "raw") is scales_itself
        maps = model(prepare(PICTURE, model.input_shape[1:], scaling.name), training=False)
        np.testing.assert_allclose(maps, expected, atol=1e-5)


# ------------------------------------------------------------------ models of one's own


class Standardise(layers.Layer):
    def call(self, x):
        return (x - 128) / 64


class Parts(keras.Model):
    """A subclassed model: its graph is not visible from outside."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = list(parts)

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


def adapted(highest):
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, highest, (4, 8, 8, 3)))
    return layer


def augmentation():
    return keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomContrast(0.2)])


def per_image(x):
    axes = {"axis": (1, 2, 3), "keepdims": True}
    return (x - ops.mean(x, **axes)) / (ops.std(x, **axes) + 1e-6)


def resized(x):
    return layers.ZeroPadding2D()(layers.Resizing(12, 12)(x))


def rescaled():
    return [layers.Rescaling(1 / 255), layers.Conv2D(4, 3)]


def like_vgg():
    return [layers.Conv2D(8, 3, name="block1_conv1"), layers.Conv2D(8, 3, name="block1_conv2")]


RESCALE = layers.Rescaling(1 / 255)
TORCH_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
TORCH_STD = np.array([0.229, 0.224, 0.225], np.float32)

MODELS = {
    # The model's own layers state it.
    "Rescaling": (lambda: model_of(lambda x: conv(layers.Rescaling(1 / 255)(x))), "raw", True),
    "after augmentation": (lambda: model_of(lambda x: conv(RESCALE(augmentation()(x)))), "raw", True),
    "after resizing and padding": (lambda: model_of(lambda x: conv(RESCALE(resized(x)))), "raw", True),
    "adapted Normalization": (lambda: model_of(lambda x: conv(adapted(255)(x))), "raw", True),
    "Normalization, not adapted": (lambda: model_of(lambda x: conv(layers.Normalization()(x))), "raw", True),
    "x / 255": (lambda: model_of(lambda x: conv(x / 255)), "raw", True),
    "x / 127.5 − 1": (lambda: model_of(lambda x: conv(x / 127.5 - 1.0)), "raw", True),
    "inverted": (lambda: model_of(lambda x: conv((255 - x) / 255)), "raw", True),
    "half precision": (lambda: model_of(lambda x: conv(ops.cast(x, "float16") / 255)), "raw", True),
    "a Lambda": (lambda: model_of(lambda x: conv(layers.Lambda(lambda y: y / 255)(x))), "raw", True),
    "a layer of one's own": (lambda: model_of(lambda x: conv(Standardise()(x))), "raw", True),
    "each picture standardised": (lambda: model_of(lambda x: conv(per_image(x))), "raw", True),
    "any size": (lambda: model_of(lambda x: conv(x / 255), (None, None, 3)), "raw", True),
    "whole numbers": (lambda: model_of(lambda x: conv(ops.cast(x, "float32")), dtype="uint8"), "raw", True),
    "Sequential": (lambda: keras.Sequential([keras.Input((8, 8, 3)), *rescaled()]), "raw", True),
    "unbuilt Sequential": (lambda: keras.Sequential([layers.RandomFlip(), *rescaled()]), "raw", True),
    # It scales values that are 0…1 already.
    "2x − 1": (lambda: model_of(lambda x: conv(2 * x - 1)), "unit", False),
    "x − 0.5": (lambda: model_of(lambda x: conv(x - 0.5)), "unit", False),
    "Normalization adapted to 0…1": (lambda: model_of(lambda x: conv(adapted(1)(x))), "unit", False),
    "PyTorch's mean and std": (lambda: model_of(lambda x: conv((x - TORCH_MEAN) / TORCH_STD)), "unit", False),
    # Nothing states it.
    "plain": (lambda: model_of(conv), "unit", False),
    "augmentation only": (lambda: model_of(lambda x: conv(augmentation()(x))), "unit", False),
    "resizing and padding only": (lambda: model_of(lambda x: conv(resized(x))), "unit", False),
    "colours reversed": (lambda: model_of(lambda x: conv(x[..., ::-1])), "unit", False),
    "scaled past the weights": (lambda: model_of(lambda x: layers.Conv2D(3, 1)(x) + x / 2), "unit", False),
    "scaled after it": (lambda: model_of(lambda x: head(layers.Conv2D(3, 3)(x) / 255)), "unit", False),
    "names like VGG's": (lambda: keras.Sequential([keras.Input((8, 8, 3)), *like_vgg()]), "unit", False),
    "no weights": (lambda: model_of(layers.MaxPooling2D()), "unit", False),
    "subclassed": (lambda: Parts(layers.Conv2D(4, 3)), "unit", False),
    "subclassed, scaled later": (lambda: Parts(*reversed(rescaled())), "unit", False),
    # Some signs point to it.
    "subclassed, Rescaling first": (lambda: Parts(augmentation(), *rescaled()), "raw", False),
    "one branch of two": (
        lambda: model_of(lambda x: layers.Conv2D(2, 1)(x) + layers.Conv2D(2, 1)(x / 255)), "raw", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_one_s_own(name):
    build, expected, known = MODELS[name]
    scaling = detect_scaling(build())
    assert (scaling.name, scaling.known) == (expected, known)
    assert scaling.reason


@pytest.fixture(scope="module")
def backbone():
    return network("MobileNetV2")


def test_a_backbone_that_the_picture_reaches_changed_is_a_sign_only(backbone):
    learned = model_of(lambda x: head(backbone(layers.Conv2D(3, 1)(x))), (SIZE, SIZE, 1))
    repeated = model_of(lambda x: head(backbone(layers.Concatenate()([x, x, x]))), (SIZE, SIZE, 1))
    subclassed = Parts(augmentation(), backbone, layers.Flatten())
    inside = model_of(lambda x: head(Parts(backbone)(x)), (SIZE, SIZE, 3))
    for model, known in ((learned, False), (repeated, True), (subclassed, False), (inside, False)):
        scaling = detect_scaling(model)
        assert (scaling.name, scaling.known) == ("tf", known)
        assert "MobileNetV2" in scaling.reason


def test_a_network_that_only_has_the_name_of_a_family_is_a_guess():
    picture = keras.Input((16, 16, 3))
    scaling = detect_scaling(keras.Model(picture, conv(picture), name="vgg16"))
    assert (scaling.name, scaling.known) == ("caffe", False)


def test_of_several_inputs_the_picture_counts(backbone):
    picture, numbers = keras.Input((SIZE, SIZE, 3)), keras.Input((4,))
    for scaled, expected in ((backbone(picture), "tf"), (backbone(picture / 127.5 - 1), "raw")):
        model = keras.Model([numbers, picture], layers.Concatenate()([numbers, layers.Flatten()(scaled)]))
        scaling = detect_scaling(model)
        assert (scaling.name, scaling.known) == (expected, True)


def test_twins_that_share_a_backbone(backbone):
    twin = model_of(lambda x: backbone(x / 127.5 - 1), (SIZE, SIZE, 3))
    left, right = keras.Input((SIZE, SIZE, 3)), keras.Input((SIZE, SIZE, 3))
    model = keras.Model([left, right], layers.Subtract()([twin(left), twin(right)]))
    assert detect_scaling(model).name == "raw"


def everything_a_pass_might_change(model):
    """Return everything of a model that a forward pass might change."""
    parts = [model, *model._flatten_layers(include_self=False)]
    operations = [operation for part in parts for operation in getattr(part, "operations", [])]
    return {
        "names": [part.name for part in parts],
        "built": [part.built for part in parts],
        "variables": [variable.numpy().tobytes() for variable in model.variables],
        "seeds": [np.asarray(part.seed_generator.state) for part in parts if hasattr(part, "seed_generator")],
        "calls": [len(operation._inbound_nodes) for operation in operations],
        "uses": [len(operation._outbound_nodes) for operation in operations],
        "losses": list(model.losses),
        "chance": (random.getstate(), repr(np.random.get_state())),  # noqa: NPY002 - the generator that users seed
    }


def test_the_model_stays_as_it_is(backbone):
    models = {
        "functional": model_of(
            lambda x: head(backbone(layers.Dropout(0.5)(RESCALE(augmentation()(x))))), (SIZE, SIZE, 3)
        ),
        "unbuilt": keras.Sequential([layers.RandomZoom(0.1), RESCALE, layers.Conv2D(4, 3), backbone]),
        "subclassed": Parts(augmentation(), layers.Conv2D(3, 1), backbone),
    }
    for name, model in models.items():
        before = everything_a_pass_might_change(model)
        detect_scaling(model)
        after = everything_a_pass_might_change(model)
        for what in before:
            np.testing.assert_equal(after[what], before[what], err_msg=f"{name}: {what}")


def test_a_layer_that_cannot_be_tried_is_passed_over():
    class Particular(layers.Layer):
        def compute_output_shape(self, shape):
            return shape

        def call(self, _):
            raise RuntimeError("not now")

    assert detect_scaling(model_of(lambda x: conv(RESCALE(Particular()(x))))).name == "raw"


def test_what_a_layer_does_in_another_model_does_not_count(backbone):
    picture = keras.Input((SIZE, SIZE, 3))
    first_try = keras.Model(picture, backbone(picture))
    second_try = keras.Model(picture, backbone(picture / 127.5 - 1))
    assert detect_scaling(first_try).name == "tf"
    assert detect_scaling(second_try).name == "raw"
