"""Comparison of two models, images or sets of weights: against numpy on independent forward passes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fmwidget import ActivationModel
from fmwidget.analysis import comparison as module
from fmwidget.analysis.comparison import (
    TOLERANCE,
    Comparison,
    channel_differences,
    compare_activations,
    corresponding_paths,
    layer_difference,
)
from fmwidget.models import backends
from fmwidget.snapshots.snapshot import NamedValues, Snapshot
from tests.support import combinations, custom_models, oracle, zoo
from tests.support.snapshots import change_variables

layers = keras.layers
MODELS = zoo.MODELS | combinations.MODELS | custom_models.MODELS


def compare(a: keras.Model, b: keras.Model, batch: Any, batch_b: Any = None, **options: Any) -> Comparison:
    batch_b = batch if batch_b is None else batch_b
    return compare_activations(ActivationModel(a), batch, ActivationModel(b), batch_b, **options)


def relative_l2(a: Any, b: Any) -> float:
    """Return the relative distance by numpy's own norms, over the positions where both are finite."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    difference, whole = np.linalg.norm(a[finite] - b[finite]), np.linalg.norm(a[finite])
    if whole == 0:
        return 0.0 if difference == 0 else np.inf
    return float(difference / whole)


# ------------------------------------------------------------------ one layer


NUMBERS = st.floats(-100, 100, width=16) | st.sampled_from([0.0, np.nan, np.inf, -np.inf])
DTYPES = st.sampled_from([np.float16, np.float32, np.float64])
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=4)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_the_numbers_of_a_layer_are_numpy_s(data):
    shape = data.draw(SHAPES)
    a, b = (data.draw(hnp.arrays(data.draw(DTYPES), shape, elements=NUMBERS)) for _ in "ab")
    with np.errstate(all="raise"):
        found = layer_difference(a, b)
    finite = np.isfinite(a) & np.isfinite(b)
    x, y = a[finite].astype(np.float64), b[finite].astype(np.float64)
    assert found.relative_l2 == pytest.approx(relative_l2(a, b), rel=1e-12)
    assert found.max_abs == np.abs(x - y).max(initial=0)
    if x.any() and y.any():
        cosine = (x / np.linalg.norm(x)) @ (y / np.linalg.norm(y))
        assert found.cosine == pytest.approx(cosine, abs=1e-12)
        assert -1 <= found.cosine <= 1
    else:
        assert np.isnan(found.cosine)
    assert found.left_out == a.size - finite.sum()
    kinds = [np.select([np.isnan(m), np.isposinf(m), np.isneginf(m)], [1, 2, 3]) for m in (a, b)]
    assert found.not_finite == (kinds[0] != kinds[1]).sum()


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(DTYPES, SHAPES, elements=NUMBERS))
def test_maps_compared_with_themselves_do_not_differ(maps):
    found = layer_difference(maps, maps.copy())
    assert (found.relative_l2, found.max_abs, found.not_finite) == (0, 0, 0)
    finite = maps[np.isfinite(maps)]
    assert found.cosine == 1 if finite.any() else np.isnan(found.cosine)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        *(("float16", 6e4), ("bfloat16", 3e38), ("float32", 3e38), ("float64", 8e307)),
        *(("float16", 1e-7), ("bfloat16", 1e-38), ("float32", 1e-44), ("float64", 1e-308)),
    ],
)
def test_values_next_to_the_ends_of_their_type_are_compared(dtype, size):
    random = np.random.default_rng(0)
    kind = keras.ops.convert_to_tensor(0.0, dtype).numpy().dtype
    a, b = (np.float64(size) * random.choice([-1, -0.5, 0.5, 1], (5, 6, 7)) for _ in "ab")
    a, b = a.astype(kind), b.astype(kind)
    with np.errstate(all="raise"):
        found = layer_difference(a, b)
    unit_a, unit_b = (np.longdouble(1) * maps.astype(np.longdouble) / np.longdouble(size) for maps in (a, b))
    assert found.relative_l2 == pytest.approx(relative_l2(unit_a, unit_b), rel=1e-6)
    assert found.max_abs == float((np.abs(unit_a - unit_b).max() * np.longdouble(size)).astype(np.float64))
    cosine = (unit_a * unit_b).sum() / np.sqrt((unit_a**2).sum() * (unit_b**2).sum())
    assert found.cosine == pytest.approx(float(cosine), abs=1e-6)


def test_distance_from_zero_is_none_or_infinite():
    zero, one = np.zeros((2, 3, 4), np.float32), np.ones((2, 3, 4), np.float32)
    assert layer_difference(zero, zero).relative_l2 == 0
    assert layer_difference(zero, one).relative_l2 == np.inf
    assert layer_difference(one, zero).relative_l2 == 1
    assert all(np.isnan(layer_difference(zero, each).cosine) for each in (zero, one))


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e-160, 1e300])
def test_any_size_differs_from_zero_by_all_of_itself(size):
    a, zero = np.full((2, 3, 1), size), np.zeros((2, 3, 1), np.float32)
    assert layer_difference(a, zero).relative_l2 == pytest.approx(1)
    assert layer_difference(zero, a).relative_l2 == np.inf


def test_sides_of_quite_different_sizes_are_compared():
    maps = np.random.default_rng(1).normal(size=(4, 5, 6))
    for small, large in ((1e-200, 1e-198), (1e-300, 1e-10), (1e-300, 1e300)):
        found = layer_difference(small * maps, large * maps)
        assert found.relative_l2 == pytest.approx(large / small, rel=0.02)
        assert found.max_abs == pytest.approx(large * np.abs(maps).max(), rel=0.02)
        assert found.cosine == pytest.approx(1)
        assert layer_difference(large * maps, small * maps).relative_l2 == pytest.approx(1, rel=0.02)


def test_opposite_and_scaled_maps_have_the_cosine_of_their_directions():
    maps = np.random.default_rng(1).normal(size=(40, 50, 60)).astype(np.float32)
    assert layer_difference(maps, 2 * maps).cosine == pytest.approx(1, abs=1e-15)
    assert layer_difference(maps, -maps).cosine == pytest.approx(-1, abs=1e-15)
    assert layer_difference(maps, 2 * maps).relative_l2 == pytest.approx(1, abs=1e-15)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_differences_of_channels_are_their_norms(data):
    shape = data.draw(SHAPES)
    a, b = (data.draw(hnp.arrays(data.draw(DTYPES), shape, elements=NUMBERS)) for _ in "ab")
    with np.errstate(all="raise"):
        found = channel_differences(a, b)
    assert found.shape == shape[2:]
    for channel, number in enumerate(found):
        x, y = a[..., channel].astype(np.float64), b[..., channel].astype(np.float64)
        if np.array_equal(x[~np.isfinite(x)], y[~np.isfinite(y)], equal_nan=True) and np.array_equal(
            np.isfinite(x), np.isfinite(y)
        ):
            finite = np.isfinite(x)
            assert number == pytest.approx(np.linalg.norm(x[finite] - y[finite]), rel=1e-12)
        else:
            assert number == np.inf


# ------------------------------------------------------------------ which layers correspond


@pytest.mark.parametrize("name", MODELS)
def test_a_model_compared_with_itself_does_not_differ(name):
    keras.utils.set_random_seed(1)
    model = MODELS[name]()
    batch = zoo.batch_for(model)
    am = ActivationModel(model)
    for other in (am, ActivationModel(model)):
        found = compare_activations(am, batch, other, batch)
        listed = {layer.path: layer for layer in am.layers if layer.after is None}
        assert found.paths == found.other_paths == tuple(listed)
        assert list(map(tuple, found.shapes)) == [layer.shape for layer in listed.values()]
        assert not found.relative_l2.any()
        assert not found.max_abs.any()
        assert not found.not_finite.any()
        assert ((found.cosine == 1) | np.isnan(found.cosine)).all()
        assert found.first_over is None
        assert [found.only_a, found.only_b, found.different_shapes, found.by_order] == [(), (), {}, ()]
    for path, cosine in zip(found.paths, found.cosine, strict=True):
        maps = am.activations(batch, path)
        assert np.isnan(cosine) == (not maps[np.isfinite(maps)].any())
    assert am.stats.forwards == 1


@pytest.mark.parametrize("name", sorted(set(zoo.MODELS) - {"not_a_number"}))
def test_the_numbers_are_those_of_independent_forward_passes(name):
    """Compare with a copy of other weights, whose operations have other names; all correspond."""
    keras.utils.set_random_seed(1)
    models = [zoo.MODELS[name]() for _ in range(2)]
    twins = [zoo.MODELS[name]() for _ in range(2)]
    batch = zoo.batch_for(models[0])
    plain = [oracle.instrumented(twin, batch) for twin in twins]
    ams = [ActivationModel(model) for model in models]
    for am in ams:
        am.predictions(batch)  # builds it
    change_variables(models[1], 1)
    for model, twin in zip(models, twins, strict=True):
        oracle.copy_state(model, twin)
    found = compare_activations(ams[0], batch, ams[1], batch)
    expected = [[each for each in run(batch) if not each.before_activation] for run in plain]
    assert len(found.paths) == len(expected[0]) == len(expected[1])
    for place, (one, two) in enumerate(zip(*expected, strict=True)):
        assert one.operation.name.rstrip("_0123456789") in found.paths[place]
        a, b = (np.asarray(each.value[0], np.float64) for each in (one, two))
        assert found.relative_l2[place] == pytest.approx(relative_l2(a, b), rel=1e-4, abs=1e-6)
        assert found.max_abs[place] == pytest.approx(np.abs(a - b).max(), rel=1e-4, abs=1e-5)
        if a.any() and b.any():
            cosine = np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
            assert found.cosine[place] == pytest.approx(cosine, abs=1e-6)
    assert [found.only_a, found.only_b, found.different_shapes] == [(), (), {}]


def numbered(first: int, count: int = 3) -> keras.Model:
    """Return a network of convolutions with names as Keras numbers them, from `first` on."""
    inputs = x = keras.Input((12, 14, 3))
    for number in range(first, first + count):
        x = layers.Conv2D(4, 3, padding="same", name=f"conv2d_{number}" if number else "conv2d")(x)
    return keras.Model(inputs, layers.ReLU(name="out")(x))


def listed(model: keras.Model) -> tuple[Any, ...]:
    return tuple(layer for layer in ActivationModel(model).layers if layer.after is None)


@pytest.mark.parametrize("first", [0, 1, 2, 3, 7])
def test_layers_that_keras_numbered_otherwise_correspond_by_order(first):
    """Check names that overlap too: the third of one network may have the name of the first of another."""
    one, other = numbered(0), numbered(first)
    other.set_weights(one.get_weights())
    paths = tuple(layer.path for layer in listed(one))
    other_paths = tuple(layer.path for layer in listed(other))
    assert corresponding_paths(listed(one), listed(other)) == dict(zip(paths, other_paths, strict=True))
    found = compare(one, other, zoo.batch_for(one))
    assert (found.paths, found.other_paths) == (paths, other_paths)
    assert not found.relative_l2.any()
    assert [row["other_layer"] for row in found.rows()] == list(other_paths)
    if first:
        assert found.by_order == ("conv2d", "conv2d_1", "conv2d_2")
        assert f"3 layers paired by order: conv2d = conv2d_{first}, conv2d_1 = " in str(found)
    else:
        assert found.by_order == ()
        assert "by order" not in str(found)


def test_a_network_with_a_layer_more_is_paired_by_name():
    found = compare(numbered(0, 3), numbered(0, 4), zoo.batch_for(numbered(0)))
    assert found.paths == ("conv2d", "conv2d_1", "conv2d_2", "out")
    assert found.only_b == ("conv2d_3",)


def test_layers_left_over_at_another_depth_do_not_correspond():
    """A number that Keras gave to two layers pairs them; what is left over then stands elsewhere."""
    a, b = chain(["conv2d", "conv2d_1", "conv2d_2"]), chain(["conv2d_1", "conv2d_2", "conv2d_3"], last=5)
    batch = np.ones((1, 20, 24, 3), np.float32)
    comparison = compare_activations(ActivationModel(a), batch, ActivationModel(b), batch)
    assert comparison.only_a == ("conv2d",)
    assert comparison.only_b == ("conv2d_3",)


def chain(names: list[str], last: int = 3) -> keras.Model:
    """Return convolutions of three channels in a row, the last one of `last`."""
    channels = [*[3] * (len(names) - 1), last]
    made = [layers.Conv2D(count, 1, name=name) for name, count in zip(names, channels, strict=True)]
    return keras.Sequential([keras.Input((20, 24, 3)), *made])


def test_names_count_more_than_order():
    def make(names: str, last: str) -> keras.Model:
        inputs = keras.Input((6, 6, 2))
        branches = [layers.Conv2D(2, 1, name=name)(inputs) for name in names]
        return keras.Model(inputs, layers.Add(name=last)(branches))

    found = corresponding_paths(listed(make("xy", "sum")), listed(make("yx", "total")))
    assert found == {"x": "x", "y": "y", "sum": "total"}


def test_layers_that_do_not_correspond_are_listed():
    def make(*names: str, **channels: int) -> keras.Model:
        inputs = x = keras.Input((6, 8, 2))
        for name in names:
            x = layers.Conv2D(channels.get(name, 3), 3, padding="same", name=name)(x)
        return keras.Model(inputs, x, name="model")

    one, two = make("a", "b", "mine", "c"), make("a", "b", "c", "theirs", "others", b=5)
    found = compare(one, two, zoo.batch_for(one))
    assert found.paths == ("a", "c")
    assert found.only_a == ("mine",)
    assert found.only_b == ("theirs", "others")
    assert found.different_shapes == {"b": ((6, 8, 3), (6, 8, 5))}
    assert len(found.shapes) == len(found.rows()) == 2
    text = str(found)
    for words in (
        "2 layers compared, 2 over the tolerance of 0.0001, first a",
        "1 layer in A only: mine",
        "2 layers in B only: theirs, others",
        "1 layer of different shapes: b (6, 8, 3) and (6, 8, 5)",
    ):
        assert words in text.splitlines()


def test_models_that_have_nothing_in_common_are_compared_in_no_layer():
    one = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(2, 1, name="a")])
    two = keras.Sequential([keras.Input((6, 6, 2)), layers.ReLU(name="b")])
    found = compare(one, two, zoo.batch_for(one))
    assert (found.paths, found.only_a, found.only_b) == ((), ("a",), ("b",))
    assert found.first_over is None
    assert found.rows() == []
    assert found.shapes.shape == (0, 3)
    assert repr(found) == "Comparison(0 layers, none over 0.0001)"
    assert "0 layers compared, none over" in str(found)


# ------------------------------------------------------------------ where two models part


def network() -> keras.Model:
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            keras.Input((16, 18, 3)),
            layers.Rescaling(1 / 256, name="scale"),
            layers.Conv2D(8, 3, activation="relu", name="one"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(8, 3, activation="relu", name="two"),
            layers.BatchNormalization(name="norm"),
            layers.Conv2D(4, 3, name="three"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


def recorded(model: keras.Model, batch: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return maps by calling the layers of a chain one after another."""
    maps = {}
    for layer in model.layers:
        batch = layer(batch, training=False)
        if len(batch.shape) == 4:
            maps[layer.name] = np.asarray(batch[0], np.float64)
    return maps


def require_parting(a: keras.Model, b: keras.Model, first: str) -> None:
    batch = np.random.default_rng(2).integers(0, 256, (1, 16, 18, 3)).astype("float32")
    found = compare(a, b, batch)
    one, two = recorded(a, batch), recorded(b, batch)
    distances = {path: relative_l2(one[path], two[path]) for path in one}
    assert found.paths == tuple(distances)
    assert found.relative_l2 == pytest.approx(list(distances.values()), rel=1e-3, abs=1e-7)
    assert next(path for path, distance in distances.items() if distance > TOLERANCE) == first
    assert found.first_over == first
    assert repr(found) == f"Comparison(6 layers, first {first!r} over 0.0001)"
    assert [row["over"] for row in found.rows()] == [distance > TOLERANCE for distance in distances.values()]


def test_a_copy_in_half_precision_parts_at_the_first_layer_that_rounds():
    """Whole numbers over a power of two are exact in float16: the maps part at the first convolution."""
    model = network()

    def in_half(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": "float16"})

    copy = keras.models.clone_model(model, clone_function=in_half)
    copy.set_weights(model.get_weights())
    require_parting(model, copy, "one")
    maps = ActivationModel(copy).activations(np.zeros((1, 16, 18, 3), "float32"), "three")
    assert maps.dtype == np.float16


def test_a_copy_whose_later_half_is_in_half_precision_parts_there():
    model = network()

    def in_half(layer: keras.Layer) -> keras.Layer:
        late = layer.name in ("norm", "three")
        return type(layer).from_config({**layer.get_config(), **({"dtype": "float16"} if late else {})})

    copy = keras.models.clone_model(model, clone_function=in_half)
    copy.set_weights(model.get_weights())
    require_parting(model, copy, "norm")


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_a_change_of_one_kernel_is_named(name):
    model = network()
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    kernel, bias = copy.get_layer(name).get_weights()
    kernel[1, 1] += 0.01
    copy.get_layer(name).set_weights([kernel, bias])
    require_parting(model, copy, name)


def test_a_pruned_copy_parts_where_it_was_pruned():
    model = network()
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    kernel, bias = copy.get_layer("two").get_weights()
    kernel[np.abs(kernel) < np.quantile(np.abs(kernel), 0.3)] = 0
    copy.get_layer("two").set_weights([kernel, bias])
    require_parting(model, copy, "two")


def test_a_nan_on_one_side_is_over_any_tolerance():
    model = network()
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    kernel, bias = copy.get_layer("two").get_weights()
    bias[3] = np.nan
    copy.get_layer("two").set_weights([kernel, bias])
    found = compare(model, copy, zoo.batch_for(model), tolerance=np.inf)
    place = found.paths.index("two")
    height, width, _ = found.shapes[place]
    assert found.first_over == "two"
    assert found.not_finite[place] == found.left_out[place] == height * width
    assert found.relative_l2[place] == 0  # of what is finite on both sides
    assert f"{height * width} NaN or infinite in one of them" in str(found)
    both = compare(copy, copy, zoo.batch_for(model))
    assert both.first_over is None
    assert both.left_out[place] == height * width


def test_other_images_and_other_steps_are_compared():
    model = network()
    am = ActivationModel(model)
    one, two = zoo.batch_for(model, 1), zoo.batch_for(model, 2)
    found = compare_activations(am, one, am, two)
    maps_a, maps_b = recorded(model, one), recorded(model, two)
    assert found.relative_l2 == pytest.approx([relative_l2(maps_a[path], maps_b[path]) for path in maps_a])
    assert am.stats.forwards == 2

    named = backends.current().named_variables(model)
    values = backends.current().read(list(named.values()))
    snapshot = Snapshot(step=0, source=NamedValues(list(named), values))
    kernel, bias = model.get_layer("two").get_weights()
    model.get_layer("two").set_weights([2 * kernel, bias])
    found = compare_activations(am, one, am.at(snapshot), one)
    now = recorded(model, one)
    assert found.relative_l2 == pytest.approx([relative_l2(now[path], maps_a[path]) for path in now])
    assert found.first_over == "two"


@pytest.mark.parametrize("cache_bytes", [0, 8_000])
@pytest.mark.parametrize("held_bytes", [2**29, 6_000])
def test_maps_beyond_the_cache_take_few_passes(monkeypatch, cache_bytes, held_bytes):
    """One pass finds that the maps do not fit, and one more each measures them: not one a layer."""
    model, other = network(), network()
    change_variables(other, 0)
    batch = zoo.batch_for(model)
    expected = compare(model, other, batch)
    monkeypatch.setattr(module, "HELD_BYTES", held_bytes)
    a, b = (ActivationModel(each, cache_bytes=cache_bytes) for each in (model, other))
    found = compare_activations(a, batch, b, batch)
    assert found.paths == expected.paths
    for name in ("relative_l2", "cosine", "max_abs"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    nbytes = sum(a.activations(batch, path).nbytes for path in found.paths)
    assert nbytes > 8_000
    if held_bytes > nbytes:
        assert b.stats.forwards == 2
    else:
        assert 2 < b.stats.forwards < 1 + len(found.paths)


def test_what_cannot_be_compared_is_refused(model):
    am = ActivationModel(model)
    batch = zoo.batch_for(model)
    for tolerance in (-1, np.nan):
        with pytest.raises(ValueError, match="tolerance must be a number from 0"):
            compare_activations(am, batch, am, batch, tolerance=tolerance)
    with pytest.raises(ValueError, match="one image"):
        compare_activations(am, np.repeat(batch, 2, axis=0), am, batch)
