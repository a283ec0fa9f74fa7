"""The function API on small models, its figures read back and compared with an independent forward pass."""

from __future__ import annotations

import io

import keras
import numpy as np
import pytest
from PIL import Image

from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.depth_profile import depth_profile
from fmwidget.images.arrays import ImageError
from fmwidget.plots import plot_channel, plot_feature_maps
from fmwidget.rendering.figure import FeatureFigure
from fmwidget.rendering.palette import palette

layers = keras.layers


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((20, 26, 3)),
            layers.Conv2D(5, 3, activation="relu", name="first"),
            layers.MaxPooling2D(2, name="smaller"),
            layers.Conv2D(18, 3, name="second"),
            layers.GlobalAveragePooling2D(name="flat"),
        ]
    )


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (20, 26, 3), np.uint8)


def forward(model, picture, upto):
    """Return maps `(H, W, C)` by calling the model's layers one after another."""
    tensor = picture[np.newaxis].astype(np.float32) / 255
    for layer in model.layers:
        tensor = layer(tensor)
        if layer.name == upto:
            return np.asarray(tensor[0])
    raise AssertionError


def runs(mask):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2], strict=True))


def drawn_maps(figure, shape, header):
    """Return the levels of each tile of a figure, one per value, in reading order; found by colour alone."""
    return maps_in(Image.open(io.BytesIO(figure._repr_png_())), shape, header)


def maps_in(picture, shape, header):
    """Return the levels of each tile of a picture, likewise."""
    code = np.array([65536, 256, 1])
    pixels = np.array(picture.convert("RGB")).astype(int)[header:] @ code
    indices = np.full(pixels.shape, -1)
    for place, colour in enumerate(palette()[:220] @ code):
        indices[pixels == colour] = place
    tiles = []
    for top, bottom in runs((indices >= 0).sum(axis=1) > 10):
        for left, right in runs((indices[top:bottom] >= 0).all(axis=0)):
            if right - left < 10:
                continue  # a colour bar
            tile, scale = indices[top:bottom, left:right], (bottom - top) // shape[0]
            assert tile.shape == (shape[0] * scale, shape[1] * scale)
            tiles.append(tile[scale // 2 :: scale, scale // 2 :: scale] * 255 / 219)
    return tiles


def standardized(channel_map):
    values = channel_map.astype(float)
    return np.clip((values - values.mean()) / values.std() * 64 + 128, 0, 255)


def written(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_map_drawn_is_that_of_an_independent_forward(model, picture):
    for name in ("first", "second"):
        maps = forward(model, picture, name)
        figure = plot_feature_maps(model, picture, name, ratio=1)
        tiles = drawn_maps(figure, maps.shape[:2], 42)
        assert len(tiles) == maps.shape[2]
        for channel, tile in enumerate(tiles):
            assert np.abs(tile - standardized(maps[:, :, channel])).max() <= 1.7  # two roundings
        assert [text for text in written(figure) if text.isdecimal()] == [
            str(n) for n in range(maps.shape[2])
        ]


def test_all_layers_make_one_page_and_some_make_a_shorter_one(model, picture):
    every = plot_feature_maps(model, picture)
    assert isinstance(every, FeatureFigure)
    assert [text for text in written(every) if text in {"first", "smaller", "second", "flat"}] == [
        "first",
        "smaller",
        "second",
    ]
    am = ActivationModel(model)
    some = plot_feature_maps(am, picture, ["second", am.layers[0]], ratio=1)
    assert [text for text in written(some) if text in {"first", "smaller", "second"}] == ["second", "first"]
    assert some.get_size_inches()[1] < every.get_size_inches()[1]


def test_more_channels_than_a_page_of_the_widget_are_all_drawn(picture):
    wide = keras.Sequential([keras.Input((20, 26, 3)), layers.AveragePooling2D(8), layers.Conv2D(300, 1)])
    figure = plot_feature_maps(wide, picture, wide.layers[1].name, order="variance", ncols=20)
    labels = [int(text) for text in written(figure) if text.isdecimal()]
    maps = np.asarray(wide(picture[np.newaxis] / np.float32(255))[0])
    assert sorted(labels) == list(range(300))
    assert (np.diff(maps.var(axis=(0, 1))[labels]) <= 1e-7).all()


@pytest.mark.parametrize("norm", ["channel", "shared"])
def test_one_channel_is_drawn_with_the_scale_it_says(model, picture, norm):
    maps = forward(model, picture, "second")
    figure = plot_channel(model, picture, "second", 7, norm=norm, ratio=1, size=200)
    (tile,) = drawn_maps(figure, maps.shape[:2], 42)
    values = maps[:, :, 7]
    scale = values if norm == "channel" else maps
    expected = (values - scale.min()) / (scale.max() - scale.min()) * 255
    assert np.abs(tile - expected).max() <= 1.7
    assert written(figure)[0] == "second · channel 7"


def test_a_scaling_a_function_and_a_fit_reach_the_model(model, picture):
    plain = written(plot_channel(model, picture, "first", 1, preprocess="unit"))[1]
    raw = written(plot_channel(model, picture, "first", 1, preprocess="raw"))[1]
    by_hand = written(
        plot_channel(
            model, picture, "first", 1, preprocess=lambda pixels: pixels[np.newaxis] / np.float32(255)
        )
    )[1]
    assert plain == by_hand != raw
    tall = np.concatenate([picture, picture])
    fits = {written(plot_channel(model, tall, "first", 1, fit=fit))[1] for fit in ("stretch", "crop", "pad")}
    assert len(fits) == 3


def test_a_second_input_is_given_by_name(picture):
    seen, amount = keras.Input((20, 26, 3)), keras.Input((1,), name="amount")
    scaled = layers.Multiply(name="scaled")([seen, layers.Reshape((1, 1, 1))(amount)])
    model = keras.Model([seen, amount], layers.Conv2D(2, 3, name="conv")(scaled))
    figure = plot_channel(model, picture, "scaled", 0, preprocess="unit", inputs={"amount": [3.0]})
    low, high = picture[:, :, 0].min() / 255 * 3, picture[:, :, 0].max() / 255 * 3
    assert f"min {low:.4g} · max {high:.4g}" in written(figure)[1]
    with pytest.raises(ValueError, match="amount"):
        plot_channel(model, picture, "scaled", 0)


def test_an_activation_model_computes_a_picture_once(model, picture):
    am = ActivationModel(model)
    plot_feature_maps(am, picture)
    plot_feature_maps(am, picture, "second", norm="shared", cmap="gray", dark=True)
    plot_channel(am, picture, "first", 2)
    assert am.stats.forwards == 1


def test_model_and_picture_are_left_as_they_were(model, picture):
    weights = model.get_weights()
    before = picture.tobytes()
    plot_feature_maps(model, picture)
    plot_channel(model, picture, "first", 0)
    assert picture.tobytes() == before
    for weight, original in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, original)
    assert not model.compiled


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"layers": "frist"}, "'frist'.*'first'"),
        ({"layers": []}, "at least one"),
        ({"norm": "std"}, "'standardize'"),
        ({"cmap": "virids"}, "'viridis'"),
        ({"order": "size"}, "'variance'"),
        ({"preprocess": "imagenet"}, "'caffe'"),
        ({"fit": "zoom"}, "'crop'"),
        ({"ncols": 0}, "ncols"),
    ],
)
def test_what_is_unknown_is_said_with_what_would_do(model, picture, wrong, says):
    with pytest.raises(ValueError, match=says):
        plot_feature_maps(model, picture, **wrong)


def test_layers_channels_and_pictures_that_are_not_there_are_refused(model, picture):
    with pytest.raises(ValueError, match=r"'secnd'.*'second'"):
        plot_channel(model, picture, "secnd", 0)
    for channel in (-1, 18):
        with pytest.raises(ValueError, match="channels 0 to 17"):
            plot_channel(model, picture, "second", channel)
    with pytest.raises(ImageError):
        plot_feature_maps(model, "no such file.png")


@pytest.fixture
def folder(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "cat.png")
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_a_collection_of_one_image_is_drawn_as_that_image(model, picture, folder):
    am = ActivationModel(model)
    collections = [
        {"cat": picture},
        [picture],
        picture[np.newaxis],
        folder,
        str(folder / "*.png"),
        [folder / "cat.png"],
        iter([picture]),
        {"cat": Image.fromarray(picture)},
    ]
    alone = plot_channel(am, picture, "second", 7)._repr_png_()
    for collection in collections:
        assert plot_channel(am, collection, "second", 7)._repr_png_() == alone
    alone = plot_feature_maps(am, picture, "first")._repr_png_()
    assert plot_feature_maps(am, {"cat": picture}, "first")._repr_png_() == alone
    assert plot_feature_maps(am, folder, "first")._repr_png_() == alone
    assert am.stats.forwards == 1


def test_several_images_are_refused_by_their_names(model, picture, folder):
    Image.fromarray(picture).save(folder / "dog.png")
    batch = np.stack([picture] * 20)
    for several, says in [
        ({"cat": picture, "dog": picture}, r"Received 2: 'cat', 'dog'. .* images\['cat'\], or .* loop"),
        (folder, "Received 2: 'cat', 'dog'. Pass one of them, or plot them in a loop"),
        ([picture] * 3, "Received 3: 'picture 1', 'picture 2', 'picture 3'."),
        (batch, r"Received 20: 'image', .*'image \(8\)', …\. Pass"),
    ]:
        for draw in (
            lambda images: plot_feature_maps(model, images),
            lambda images: plot_channel(model, images, "first", 0),
        ):
            with pytest.raises(ValueError, match=says):
                draw(several)


def test_an_image_that_cannot_be_used_is_named_as_it_was_passed(model, picture, folder):
    flat = np.zeros(4, np.uint8)
    for broken, says in [
        (flat, "^'image' "),
        (b"no image", "^'image' "),
        (3, "^'image' is of type int"),
        ({"cat": flat}, "^'cat' "),
        ([picture, flat], "^'picture 2' "),
        (folder / "notes.txt", "^'notes.txt' "),
        ({}, "empty"),
        (folder / "no" / "*.png", "No image file matches"),
    ]:
        with pytest.raises(ImageError, match=says):
            plot_channel(model, broken, "first", 0)


@pytest.mark.parametrize(("layers", "received"), [(3, "3"), (["first", 3], "3"), ([None], "None")])
def test_layers_of_another_type_are_refused(model, picture, layers, received):
    says = rf"^layers must be a layer path, a FeatureLayer, or a sequence of these\. Received {received}\.$"
    with pytest.raises(TypeError, match=says):
        plot_feature_maps(model, picture, layers)
    with pytest.raises(TypeError, match=r"^layer must be a layer path or a FeatureLayer\. Received <Conv2D"):
        plot_channel(model, picture, model.layers[0], 0)


def test_a_model_without_feature_maps_is_refused(picture):
    dense = keras.Sequential([keras.Input((20, 26, 3)), layers.Flatten(), layers.Dense(2)], name="dense")
    with pytest.raises(ValueError, match="'dense' has no feature maps"):
        plot_feature_maps(dense, picture)


def test_a_depth_profile_takes_a_model_or_an_activation_model(model, picture):
    batch = picture[np.newaxis].astype(np.float32) / 255
    profile, other = (depth_profile(each, [batch]) for each in (model, ActivationModel(model)))
    assert profile.paths == other.paths == ("first", "smaller", "second")
    np.testing.assert_array_equal(profile.mean, other.mean)
    with pytest.raises(TypeError, match="Expected a Keras 3 model"):
        depth_profile("model", [batch])


def test_a_page_no_figure_can_hold_is_refused_with_advice():
    deep = keras.Sequential(
        [keras.Input((4, 4, 3))] + [layers.Conv2D(2048, 1, kernel_initializer="zeros") for _ in range(9)]
    )
    with pytest.raises(ValueError, match=r"9 layers with 18432 channels.*\[::2\]"):
        plot_feature_maps(deep, np.zeros((4, 4, 3), np.uint8))
