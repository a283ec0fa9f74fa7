"""Linear CKA against its textbook formula, on maps that a plain forward pass computes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.cka import CKA, _gram, _groups, cka_of
from fmwidget.models import backends
from fmwidget.snapshots.snapshot import NamedValues, Snapshot
from tests.support import zoo

layers = keras.layers
SIZE = (9, 7, 3)
IMAGES = 12


def build(channels, name):
    return keras.Sequential(
        [
            keras.Input(SIZE),
            layers.Conv2D(channels, 3, activation="relu", name="first"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(5, 2, name="last"),
            layers.Flatten(),
            layers.Dense(2),
        ],
        name=name,
    )


@pytest.fixture(scope="module")
def models():
    keras.utils.set_random_seed(0)
    return build(4, "small"), build(6, "wide")


@pytest.fixture(scope="module")
def batches():
    images = np.random.default_rng(0).random((IMAGES, 1, *SIZE), np.float32)
    return list(images * np.linspace(0.5, 2, IMAGES, dtype=np.float32).reshape(-1, 1, 1, 1, 1))


def maps_of(model, batches):
    """Return the maps of each layer as rows `(N, values)`, by calling the layers one after another."""
    found = {}
    tensor = np.concatenate(batches)
    for layer in model.layers:
        tensor = layer(tensor)
        if tensor.ndim == 4:
            found[layer.name] = np.asarray(tensor, np.float64).reshape(len(batches), -1)
    return found


def direct(x, y):
    """Return the linear CKA of rows `(N, values)` by the formula over features."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return np.linalg.norm(y.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)


def similarity(a, batches_a, b, batches_b, **options):
    return cka_of(
        ActivationModel(a) if isinstance(a, keras.Model) else a,
        batches_a,
        ActivationModel(b) if isinstance(b, keras.Model) else b,
        batches_b,
        names=("a", "b"),
        **options,
    )


def test_every_value_is_that_of_the_formula(models, batches):
    a, b = models
    found = similarity(a, batches, b, batches)
    x, y = maps_of(a, batches), maps_of(b, batches)
    assert (found.paths_a, found.paths_b) == (tuple(x), tuple(y)) == (("first", "pool", "last"),) * 2
    assert (found.name_a, found.name_b, found.images) == ("a", "b", IMAGES)
    expected = [[direct(x[p], y[q]) for q in y] for p in x]
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)
    assert np.ptp(expected) > 0.01


@pytest.mark.parametrize("max_bytes", [100, 1000, 2500])
def test_little_memory_changes_nothing_but_the_number_of_passes(models, batches, max_bytes):
    a, b = models
    few = batches[:5]
    am = ActivationModel(a, cache_bytes=1)
    found = similarity(am, few, b, few, max_bytes=max_bytes)
    expected = similarity(a, few, b, few)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-12)


def test_each_group_of_layers_takes_one_pass_an_image(models, batches):
    am = ActivationModel(models[0])
    similarity(am, batches, am, batches)
    assert am.stats.forwards == IMAGES
    nbytes = sum(4 * maps.shape[1] for maps in maps_of(models[0], batches[:1]).values())
    am = ActivationModel(models[0], cache_bytes=1)
    similarity(am, batches, am, batches, max_bytes=IMAGES * -(-nbytes // 3))
    assert am.stats.forwards <= 3 * 2 * IMAGES + 2


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 8), st.sampled_from(["u1", "f2", "f4", "f8"]))),
    st.integers(0, 100),
)
def test_the_groups_hold_every_value_once_within_their_room(layers, room):
    shapes = {f"layer {n}": ((h, w, 1), np.dtype(dtype)) for n, (h, w, dtype) in enumerate(layers)}
    values: dict[str, list[int]] = {path: [] for path in shapes}
    largest = max((dtype.itemsize for _, dtype in shapes.values()), default=0)
    for group in _groups(shapes, room):
        assert len({part.path for part in group}) == len(group)
        taken = {part.path: range(part.start, part.stop) for part in group}
        assert sum(len(taken[path]) * shapes[path][1].itemsize for path in taken) <= max(room, largest)
        for part in group:
            assert list(shapes)[part.layer] == part.path
            values[part.path] += taken[part.path]
    assert values == {path: list(range(h * w)) for path, ((h, w, _), _) in shapes.items()}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.integers(3, 8), st.integers(2, 30))
def test_rotating_and_scaling_the_values_changes_nothing(seed, factor, count, size):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, size))
    rotation, _ = np.linalg.qr(rng.normal(size=(size, size)))
    moved = factor * x @ rotation + rng.normal(size=size)
    one, other = _gram(x), _gram(moved)
    np.testing.assert_allclose(other, factor**2 * one, rtol=1e-9, atol=1e-9 * factor**2)


def test_a_network_whose_channels_are_rotated_is_the_same_one(models, batches):
    rng = np.random.default_rng(1)
    a, rotated = build(4, "a"), build(4, "rotated")
    kernel, bias = rng.normal(size=(2, 2, 4, 5)), rng.normal(size=5)
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    for model, (k, b) in ((a, (kernel, bias)), (rotated, (kernel @ rotation * 3, bias))):
        model.get_layer("first").set_weights(models[0].get_layer("first").get_weights())
        model.get_layer("last").set_weights([k, b])
    found = similarity(a, batches, rotated, batches)
    np.testing.assert_allclose(np.diag(found.values), 1, atol=1e-6)


def test_a_model_and_itself_have_one_on_the_diagonal(models, batches):
    am = ActivationModel(models[0])
    found = similarity(am, batches, am, batches)
    np.testing.assert_allclose(np.diag(found.values), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.values, found.values.T, rtol=0, atol=1e-12)
    assert found.values.max() <= 1
    other = similarity(models[0], batches, models[0], list(batches))  # two activation models, all computed
    np.testing.assert_allclose(other.values, found.values, rtol=1e-6)


def test_a_snapshot_is_compared_by_its_own_weights(models, batches):
    a, b = build(4, "one"), build(4, "other")
    weights = b.get_weights()
    snapshot = Snapshot(
        step=1, epoch=1, source=NamedValues(list(backends.current().named_variables(a)), weights)
    )
    am = ActivationModel(a)
    found = similarity(am, batches, am.at(snapshot), batches)
    expected = similarity(a, batches, b, batches)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5)
    assert not np.allclose(np.diag(found.values), 1, atol=1e-3)


def test_one_image_and_a_layer_that_never_changes_have_no_similarity(models, batches):
    am = ActivationModel(models[0])
    assert np.isnan(similarity(am, batches[:1], am, batches[:1]).values).all()
    silent = build(4, "silent")
    kernel, _ = silent.get_layer("last").get_weights()
    silent.get_layer("last").set_weights([np.zeros_like(kernel), np.full(5, 1 / 3)])
    found = similarity(am, batches, silent, batches)
    assert np.isnan(found.values).tolist() == [[False, False, True]] * 3


def test_two_images_make_all_layers_alike(models, batches):
    found = similarity(*(models[0], batches[:2]), *(models[1], batches[:2]))
    np.testing.assert_allclose(found.values, 1, rtol=1e-9)


def test_values_that_are_not_finite_or_huge_warn_of_nothing(batches):
    image = keras.Input(SIZE)
    huge = layers.Rescaling(1e38, name="huge")(image)
    undefined = keras.ops.log(layers.Rescaling(-1.0, name="negative")(image))
    model = keras.Model(image, [huge, undefined])
    am = ActivationModel(model)
    with np.errstate(all="raise"):
        found = similarity(am, batches, am, batches)
    names = np.array(found.paths_a)
    values = found.values[:, names == "huge"].ravel()
    assert dict(zip(names, np.isnan(values), strict=True)) == {
        path: path not in ("huge", "negative") for path in names
    }
    np.testing.assert_allclose(values[~np.isnan(values)], 1)


@pytest.mark.parametrize("max_bytes", [5000, 2**30])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_number_types_are_computed_in_float64(batches, dtype, max_bytes):
    image = keras.Input(SIZE)
    offset = layers.Rescaling(1.0, offset=100.0, dtype=dtype, name="offset")(image)
    am = ActivationModel(keras.Model(image, layers.Conv2D(2, 3, dtype="float32", name="conv")(offset)))
    found = similarity(am, batches, am, batches, max_bytes=max_bytes)
    x = [
        np.stack([am.activations(batch, path).astype(np.float64).reshape(-1) for batch in batches])
        for path in found.paths_a
    ]
    np.testing.assert_allclose(found.values, [[direct(p, q) for q in x] for p in x], rtol=1e-6)


class Branching(keras.Model):
    """A model that calls one of its layers for bright images only."""

    def __init__(self):
        super().__init__()
        self.always, self.sometimes = layers.Conv2D(2, 3, name="always"), layers.ReLU(name="sometimes")

    def call(self, x):
        maps = self.always(x)
        return self.sometimes(maps) if float(keras.ops.mean(x)) < 1 else maps


def test_a_layer_that_is_not_called_for_every_image_has_no_similarity(batches):
    order = sorted(batches, key=np.mean)
    am = ActivationModel(Branching())
    assert np.mean(order[0]) < 1 < np.mean(order[-1]) + 1e-9 or pytest.fail("all images take one branch")
    found = similarity(am, order, am, order)
    called = [path.rsplit("/")[-1] for path in found.paths_a]
    assert np.isnan(found.values[called.index("sometimes")]).all()
    assert found.values[called.index("always"), called.index("always")] == pytest.approx(1)


def test_models_of_different_architectures_and_inputs_are_compared(batches):
    nested, twice = zoo.nested(), zoo.called_twice()
    rng = np.random.default_rng(2)
    images = list(rng.random((6, 1, *zoo.SIZE), np.float32))
    found = similarity(nested, images, twice, images)
    a, b = ActivationModel(nested), ActivationModel(twice)
    expected = [
        [
            direct(*(np.stack([am.activations(i, path).reshape(-1) for i in images]).astype(float)
                     for am, path in ((a, p), (b, q))))
            for q in found.paths_b
        ]
        for p in found.paths_a
    ]  # fmt: skip
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)
    assert not {layer.path for layer in a.layers if layer.after is None} ^ set(found.paths_a)


def test_rows_are_those_of_a_data_frame():
    found = CKA(np.array([[0.5, np.nan]]), ("conv",), ("x", "y"), "a", "b", 9)
    rows = found.rows()
    assert rows[0] == {"layer_a": "conv", "layer_b": "x", "cka": 0.5}
    assert [row["layer_b"] for row in rows] == ["x", "y"]
    assert repr(found) == "CKA(1 layers of a, 2 of b, 9 images)"


def test_what_cannot_be_compared_is_named(models, batches):
    am = ActivationModel(models[0])
    with pytest.raises(ValueError, match=r"Received 0 inputs of the one model and 0"):
        similarity(am, [], am, [])
    with pytest.raises(ValueError, match=r"Received 12 .* and 11"):
        similarity(am, batches, am, batches[1:])
    flat = keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="flat")
    vectors = [np.zeros((1, 3), np.float32)] * IMAGES
    with pytest.raises(ValueError, match="'flat' has no feature maps"):
        similarity(am, batches, flat, vectors)
    free = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 3, name="conv")])
    sizes = [np.zeros((1, side, side, 3), np.float32) for side in (8, 9)]
    with pytest.raises(ValueError, match=r"'conv' has maps of shape \(6, 6, 2\) .* \(7, 7, 2\) for another"):
        similarity(free, sizes, free, sizes)
