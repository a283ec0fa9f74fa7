from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources

import keras
import numpy as np
import pytest
from PIL import Image

from fmwidget import sample_class_names, sample_images, sample_model

PHOTOGRAPHS = ["cat", "astronaut", "coffee", "photographer"]
PATTERNS = ["gratings", "colour wheel", "shapes"]
DATA = resources.files("fmwidget").joinpath("data")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return sample_model()


def as_input(pixels: np.ndarray) -> np.ndarray:
    """Preprocess as the tutorial does: squeeze to 150 x 150, divide by 255."""
    return np.asarray(Image.fromarray(pixels).resize((150, 150)), np.float32)[None] / 255


def recognise(model: keras.Model, pixels: np.ndarray) -> str:
    scores = np.asarray(model(as_input(pixels), training=False))[0]
    return sample_class_names()[int(scores.argmax())]


def test_the_cat_comes_first_and_every_picture_is_read_only_rgb():
    pictures = sample_images()
    assert list(pictures) == PHOTOGRAPHS + PATTERNS
    for pixels in pictures.values():
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert min(pixels.shape[:2]) >= 150
        assert pixels.std() > 20
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0, 0] = 0


def test_the_dict_is_the_callers_and_the_arrays_are_decoded_once():
    first = sample_images()
    cat = first.pop("cat")
    assert sample_images()["cat"] is cat


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_small_files_with_a_stated_source(name):
    assert len(DATA.joinpath(f"{name}.jpg").read_bytes()) <= 60_000
    assert f"`{name}.jpg`" in DATA.joinpath("LICENCES.md").read_text("utf-8")


def test_gratings_turn_by_30_degrees_a_column_and_get_finer_down_the_rows():
    grey = sample_images()["gratings"][..., 0].astype(float) - 127.5
    patches = grey.reshape(5, 60, 6, 50).transpose(0, 2, 1, 3)
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(60), np.fft.fftfreq(50), indexing="ij"))
    found = np.empty((5, 6))
    for row, column in np.ndindex(5, 6):
        spectrum = np.abs(np.fft.fft2(patches[row, column])) ** 2
        found[row, column] = np.average(frequencies, weights=spectrum)
        # Structure tensor: the direction in which the image changes, from +x towards +y (downwards).
        dy, dx = np.gradient(patches[row, column])
        angle = np.degrees(np.arctan2(2 * (dx * dy).sum(), (dx**2 - dy**2).sum()) / 2) % 180
        assert min(abs(angle - 30 * column), 180 - abs(angle - 30 * column)) < 5
    assert (np.diff(found, axis=0) > 0).all()
    assert found.max() < 0.25  # still above three pixels a period when halved to the model's input


def test_the_colour_wheel_has_red_on_the_right_then_green_then_blue_and_a_white_centre():
    wheel = sample_images()["colour wheel"].astype(int)
    for degrees, channel in ((0, 0), (120, 1), (240, 2)):
        x = round(149.5 + 135 * np.cos(np.radians(degrees)))
        y = round(149.5 - 135 * np.sin(np.radians(degrees)))
        pure = np.zeros(3, int)
        pure[channel] = 255
        assert np.abs(wheel[y, x] - pure).max() < 20
    assert wheel[150, 150].min() > 245
    assert np.ptp(wheel[0, 0]) == 0


def test_shapes_are_black_then_white_then_hollow_on_grey():
    cells = sample_images()["shapes"][..., 0].reshape(3, 100, 3, 100).transpose(0, 2, 1, 3)
    assert (cells[0, :, 50, 50] == 0).all()
    assert (cells[1, :, 50, 50] == 255).all()
    assert (cells[2, :, 50, 50] == cells[2, :, 0, 0]).all()
    ink = (cells[2] < 64).sum((1, 2))
    assert (ink > 200).all()
    filled = (cells[0] < 64).sum((1, 2))
    assert np.allclose(filled[:2], [np.pi * 34**2, 68**2], rtol=0.03)


def test_the_model_is_the_tutorials_eight_layers_uncompiled(model):
    kinds = [(type(layer).__name__, layer.name, layer.output.shape[1:]) for layer in model.layers[:8]]
    assert kinds == [
        ("Conv2D", "conv2d", (148, 148, 32)),
        ("MaxPooling2D", "max_pooling2d", (74, 74, 32)),
        ("Conv2D", "conv2d_1", (72, 72, 64)),
        ("MaxPooling2D", "max_pooling2d_1", (36, 36, 64)),
        ("Conv2D", "conv2d_2", (34, 34, 128)),
        ("MaxPooling2D", "max_pooling2d_2", (17, 17, 128)),
        ("Conv2D", "conv2d_3", (15, 15, 128)),
        ("MaxPooling2D", "max_pooling2d_3", (7, 7, 128)),
    ]
    assert model.output_shape == (None, len(sample_class_names()))
    assert not model.compiled
    assert len(DATA.joinpath("sample_model.keras").read_bytes()) <= 1_100_000


def test_class_names_are_unique_and_cover_the_samples():
    names = sample_class_names()
    assert len(set(names)) == len(names) == 30
    assert set(sample_images()) <= set(names)


@pytest.mark.parametrize("name", PHOTOGRAPHS + PATTERNS)
def test_the_model_names_every_sample_however_it_is_fitted(model, name):
    pixels = sample_images()[name]
    height, width = pixels.shape[:2]
    short, long = sorted((height, width))
    top, left = (height - short) // 2, (width - short) // 2
    bars = [((long - side) // 2, (long - side + 1) // 2) for side in (height, width)]
    assert recognise(model, pixels) == name
    assert recognise(model, pixels[:, ::-1]) == name
    assert recognise(model, pixels[top : top + short, left : left + short]) == name
    assert recognise(model, np.pad(pixels, [*bars, (0, 0)])) == name


def test_filters_fall_silent_with_depth_on_the_cat(model):
    maps = as_input(sample_images()["cat"])
    silent = []
    for layer in model.layers[:8]:
        maps = layer(maps)
        if isinstance(layer, keras.layers.Conv2D):
            silent.append(float(np.mean(np.asarray(maps)[0].max((0, 1)) <= 0)))
    assert max(silent[:2]) <= 0.1
    assert silent[0] < silent[2] < silent[3]
    assert 0.3 <= silent[3] <= 0.7


def test_first_layer_shows_edges_on_the_cat(model):
    """Count maps that follow steps of brightness in one direction: of random filters, a handful at most."""
    x = as_input(sample_images()["cat"])
    maps = np.asarray(model.layers[0](x))[0].reshape(-1, 32)
    maps = maps[:, maps.std(0) > 0]
    grey = x[0].mean(-1)
    dx, dy = (grey[1:-1, 2:] - grey[1:-1, :-2]).ravel(), (grey[2:, 1:-1] - grey[:-2, 1:-1]).ravel()
    turns = np.radians(np.arange(0, 360, 45))
    steps = np.maximum(0, np.outer(dx, np.cos(turns)) + np.outer(dy, np.sin(turns)))
    likeness = np.corrcoef(steps.T, maps.T)[: len(turns), len(turns) :]
    edges = likeness.max(0) > 0.6
    assert edges.sum() >= 8
    assert len(set(likeness[:, edges].argmax(0))) >= 4


def test_asking_for_the_pictures_does_not_load_keras():
    code = (
        "import json, sys; from fmwidget import sample_class_names, sample_images; "
        "sample_images(); sample_class_names(); "
        "heavy = ('keras', 'tensorflow', 'matplotlib', 'ipywidgets'); "
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(output) == []
