"""Comparisons from scripts: numbers and figures of images, snapshots, files and other models."""

from __future__ import annotations

import io

import keras
import numpy as np
import pytest
from PIL import Image

import fmwidget
from fmwidget import (
    CKA,
    ActivationModel,
    Comparison,
    cka,
    compare,
    noise,
    occlude,
    plot_cka,
    plot_comparison,
    shift,
)
from fmwidget.images.arrays import ImageError
from fmwidget.models import backends
from fmwidget.rendering.figure import FeatureFigure
from fmwidget.snapshots.snapshot import NamedValues, Snapshot

layers = keras.layers
SIZE = (20, 26, 3)


def build(name="net", channels=5):
    return keras.Sequential(
        [
            keras.Input(SIZE),
            layers.Rescaling(1 / 255, name="scale"),
            layers.Conv2D(channels, 3, activation="relu", name="first"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(4, 3, name="second"),
            layers.GlobalAveragePooling2D(name="flat"),
        ],
        name=name,
    )


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build()


@pytest.fixture(scope="module")
def changed(model):
    """Return a copy of the model whose second convolution differs a little."""
    other = build("changed")
    weights = model.get_weights()
    weights[2] = weights[2] * np.float32(1.01)
    other.set_weights(weights)
    return other


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)


@pytest.fixture(scope="module")
def images():
    # Of different brightness, or all would be alike after an average.
    rng = np.random.default_rng(1)
    return {f"photo {n}": rng.integers(0, 30 + 20 * n, SIZE, np.uint8) for n in range(8)}


def snapshot_of(model, other):
    names = list(backends.current().named_variables(model))
    return Snapshot(step=3, epoch=3, source=NamedValues(names, other.get_weights()))


def maps_of(model, image):
    """Return the maps of each layer by calling the layers one after another."""
    tensor, found = image[np.newaxis].astype(np.float32), {}
    for layer in model.layers:
        tensor = layer(tensor)
        if tensor.ndim == 4:
            found[layer.name] = np.asarray(tensor[0], np.float64)
    return found


def distances(a, b):
    return {path: np.linalg.norm(a[path] - b[path]) / np.linalg.norm(a[path]) for path in a}


def check(comparison, expected):
    assert isinstance(comparison, Comparison)
    assert comparison.paths == tuple(expected)
    np.testing.assert_allclose(comparison.relative_l2, list(expected.values()), rtol=1e-4, atol=1e-7)


# ------------------------------------------------------------------ compare


def test_an_image_is_compared_with_a_corrupted_one(model, image):
    corrupted = occlude({"cat": image}, (5, 12), (5, 12))
    comparison = compare(model, {"cat": image}, corrupted)
    ((_, array),) = corrupted.items()
    expected = distances(maps_of(model, image), maps_of(model, array))
    check(comparison, expected)
    assert comparison.first_over == "scale"
    assert not compare(model, image, image).relative_l2.any()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, in saving
def test_a_snapshot_a_file_and_a_model_are_the_same_other_weights(model, changed, image, tmp_path):
    changed.save(tmp_path / "changed.keras")
    changed.save_weights(tmp_path / "changed.weights.h5")
    expected = distances(maps_of(model, image), maps_of(changed, image))
    before = model.get_weights()
    for against in (
        snapshot_of(model, changed),
        str(tmp_path / "changed.keras"),
        tmp_path / "changed.weights.h5",
        changed,
        ActivationModel(changed),
        {"better": changed},
    ):
        comparison = compare(model, image, against)
        check(comparison, expected)
        assert comparison.first_over == "second"
        assert compare(model, image, against, tolerance=0.5).first_over is None
    at = ActivationModel(model).at(snapshot_of(model, changed))
    check(compare(at, image, -1), distances(maps_of(changed, image), maps_of(model, image)))
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_each_model_gets_the_image_as_it_takes_it(image):
    one, other = (
        keras.Sequential([keras.Input((side, side, 3)), layers.Conv2D(2, 3, name="conv")])
        for side in (16, 24)
    )
    comparison = compare(one, image, other)
    assert comparison.different_shapes == {"conv": ((14, 14, 2), (22, 22, 2))}


@pytest.mark.parametrize("function", [compare, plot_comparison])
def test_the_scaling_the_fit_and_the_other_inputs_are_those_asked_for(function, image):
    picture, number = keras.Input(SIZE, name="picture"), keras.Input((1, 1, 1), name="number")
    maps = layers.Conv2D(2, 3, name="conv")(picture)
    model = keras.Model([picture, number], layers.Multiply(name="product")([maps, number]))
    options = {"inputs": {"number": np.full((1, 1, 1), 2.0)}, "preprocess": "unit", "fit": "crop"}
    assert function(model, image, shift(image, 3, 3), **options)
    with pytest.raises(ValueError, match="also takes an input 'number'"):
        function(model, image, shift(image, 3, 3))
    with pytest.raises(ValueError, match="preprocess"):
        function(model, image, shift(image, 3, 3), **{**options, "preprocess": "other"})


@pytest.mark.parametrize("function", [compare, plot_comparison, cka])
@pytest.mark.parametrize(
    ("against", "message"),
    [
        (None, r"one thing to compare with. Received 0"),
        ([0, 0], r"there are no snapshots"),
        (3, r"rather than the number of its step. Received 3. Pass run\[3\]"),
        ("none.png", "There is no file 'none.png'"),
        (3.5, "of type float"),
    ],
)
def test_what_cannot_be_compared_with_is_named(model, image, function, against, message):
    with pytest.raises((ValueError, TypeError), match=message):
        function(model, image, against)


@pytest.mark.parametrize("function", [compare, plot_comparison, cka])
def test_two_references_and_no_model_are_named(model, image, function):
    with pytest.raises(ValueError, match=r"Received 2\. Compare with one after another"):
        function(model, image, [model, model])
    with pytest.raises(TypeError):
        function("model", image, model)


# ------------------------------------------------------------------ cka


def direct(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return np.linalg.norm(y.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)


def rows_of(model, images):
    maps = [maps_of(model, image) for image in images.values()]
    return {path: np.stack([each[path].reshape(-1) for each in maps]) for path in maps[0]}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, in saving
def test_cka_is_that_of_the_formula_for_models_snapshots_and_files(model, changed, images, tmp_path):
    x, y = rows_of(model, images), rows_of(changed, images)
    expected = [[direct(x[p], y[q]) for q in y] for p in x]
    changed.save_weights(tmp_path / "changed.weights.h5")
    for against, names in (
        (changed, ("net", "changed")),
        (snapshot_of(model, changed), ("net, live weights", "net, epoch 3")),
        (tmp_path / "changed.weights.h5", ("net, live weights", "net, changed.weights.h5")),
    ):
        similarity = cka(model, images, against)
        assert isinstance(similarity, CKA)
        assert (similarity.name_a, similarity.name_b) == names
        assert similarity.images == len(images)
        np.testing.assert_allclose(similarity.values, expected, rtol=1e-5)
    little = cka(model, images, changed, max_bytes=50_000)
    np.testing.assert_allclose(little.values, expected, rtol=1e-5)


def test_a_model_is_compared_with_itself_in_one_pass_an_image(model, changed, images):
    am = ActivationModel(model)
    for against in (model, am):
        similarity = cka(am, images, against)
        np.testing.assert_allclose(np.diag(similarity.values), 1, atol=1e-9)
        assert similarity.name_a == similarity.name_b == "net"
    assert am.stats.forwards == len(images)
    at = am.at(snapshot_of(model, changed))
    similarity = cka(at, images, -1)
    assert (similarity.name_a, similarity.name_b) == ("net, epoch 3", "net, live weights")
    assert cka(at, images, changed).name_a == "net, epoch 3"


def test_cka_takes_hundreds_of_images():
    small = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(2, 3, name="conv")])
    images = np.random.default_rng(0).integers(0, 256, (130, 6, 6, 3), np.uint8)
    assert cka(small, images, small).images == 130
    assert cka(small, iter(images), small).images == 130
    assert cka(small, noise(images, 0.1), small).images == 130


def test_cka_refuses_an_image_as_the_other_side(model, images, image):
    for against in ("photo 0", image, noise(image, 0.1)):
        with pytest.raises(ValueError, match=r"Received the image '.*'. Use compare for two images"):
            cka(model, images, against)
    with pytest.raises(ImageError, match="it holds no images"):
        cka(model, np.zeros((0, 4, 4, 3)), model)


# ------------------------------------------------------------------ figures


def shown(figure):
    assert isinstance(figure, FeatureFigure)
    with Image.open(io.BytesIO(figure._repr_png_())) as picture:
        return picture.convert("RGB"), [text.get_text() for text in figure.axes[0].texts]


def test_the_figure_of_a_comparison_names_the_first_layer_that_differs(model, changed, image):
    picture, written = shown(plot_comparison(model, image, changed, width=500, ratio=1))
    assert picture.width == 500
    assert any("second" in text for text in written)
    assert any(text.startswith("net") for text in written)
    dark, _ = shown(plot_comparison(model, image, changed, width=500, ratio=1, dark=True))
    assert np.mean(dark) < 100 < np.mean(picture)
    assert shown(plot_comparison(model, image, changed, ratio=2, width=500))[0].width == 1000


def test_the_figure_of_a_cka_names_both_models(model, changed, images):
    similarity = cka(model, images, changed)
    picture, written = shown(plot_cka(similarity, width=500, ratio=1))
    assert picture.width == 500
    assert {"layers of net", "layers of changed", "linear CKA", "0.0", "1.0"} <= set(written)
    dark, _ = shown(plot_cka(similarity, width=500, ratio=1, dark=True))
    assert np.mean(dark) < np.mean(picture)


def test_all_of_it_is_exported():
    names = {"cka", "compare", "plot_cka", "plot_comparison", "CKA", "noise", "blur", "occlude", "shift"}
    assert names <= set(fmwidget.__all__)
    assert all(getattr(fmwidget, name) for name in names)
