"""Activations equal to what the model computes, at any time, with the model left unchanged."""

from __future__ import annotations

import hashlib
import itertools
import sys
import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fmwidget import ActivationModel
from fmwidget.activations import background as compiling
from fmwidget.activations import model as activations
from fmwidget.activations.forward import ForwardError
from fmwidget.models.backends import tensorflow as backend
from tests.support import custom_models, oracle, zoo


def settle(am: ActivationModel) -> None:
    """Wait until the compiled pass is in use, or has been given up."""
    am.warm_up()
    for future in am._compiler.passes.values():
        future.exception(timeout=120)


def close(a: Any, b: Any) -> bool:
    """Return whether max|a-b| <= 1e-4 max|b|, with NaN and infinities in the same places."""
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    finite = np.isfinite(b)
    if a.shape != b.shape or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return False
    return bool(np.all(np.abs(a[finite] - b[finite]) <= 1e-4 * np.max(np.abs(b[finite]), initial=0)))


def sample(seed: int = 0) -> np.ndarray[Any, Any]:
    batch: np.ndarray[Any, Any] = zoo.batch_for(zoo.sequential(), seed)
    return batch


def ordinary(am: ActivationModel) -> list[str]:
    """Return the paths that a pass computes by default: all but the maps before activations."""
    return [layer.path for layer in am.layers if layer.after is None]


def test_one_forward_an_image_whichever_layers_are_requested():
    am = ActivationModel(zoo.sequential())
    paths = ordinary(am)
    first, second = sample(0), sample(1)
    before = am.stats.forwards
    for path in paths * 2:
        am.activations(first, path)
    am.predictions(first)
    assert am.stats.forwards == before + 1
    am.activations(second, paths[0])
    assert am.stats.forwards == before + 2
    am.activations(first.copy(), paths[3])
    assert am.stats.forwards == before + 2, "a picture is known by its content, not by its object"


def test_maps_before_activations_cost_one_more_forward_a_picture():
    model = zoo.activated()
    am = ActivationModel(model)
    batch = zoo.batch_for(model)
    am.activations(batch, "dense")
    held = am.stats.bytes
    befores = [layer for layer in am.layers if layer.after is not None]
    assert [f"{layer.path}: {layer.type_name}" for layer in befores] == [
        "shared@pre: Conv2D before tanh",
        "shared@2@pre: Conv2D before tanh",
        "depthwise@pre: DepthwiseConv2D before relu",
        "separable@pre: SeparableConv2D before at_least_a_tenth",
        "transpose@pre: Conv2DTranspose before leak",
        "dense@pre: Dense before gelu",
    ]
    for layer in befores * 2:
        after = am.activations(batch, str(layer.after))
        assert close(layer.layer.activation(am.activations(batch, layer.path)), after)
    assert am.stats.forwards == 2
    assert am.stats.bytes == held + sum(4 * np.prod(layer.shape) for layer in befores)


def test_maps_before_an_activation_can_be_the_first_thing_asked_for():
    model = zoo.sequential()
    batch = sample()
    maps = ActivationModel(model).activations(batch, "conv@pre")
    assert (maps < 0).any()
    assert close(np.maximum(maps, 0), model.layers[0](batch)[0])


def test_a_picture_changed_in_place_is_a_new_picture():
    am = ActivationModel(zoo.sequential())
    batch = sample()
    old = am.activations(batch, "conv").copy()
    batch[:, 3:9] = 0
    assert not np.array_equal(am.activations(batch, "conv"), old)


def test_predictions_come_without_the_batch_axis_in_the_model_s_structure():
    model = zoo.many_outputs()
    batch = zoo.batch_for(model)
    maps, numbers = ActivationModel(model).predictions(batch)
    expected = model(batch, training=False)
    assert close(maps, expected[0][0])
    assert close(numbers, expected[1][0])


def test_what_a_model_computes_outside_its_layers_is_listed_under_its_own_name():
    class Segmenter(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="segmenter")
            self.conv = keras.layers.Conv2D(2, 3, name="conv")

        def call(self, x: Any) -> Any:
            return self.conv(x) * 2.0

    am = ActivationModel(Segmenter())
    batch = sample()
    assert close(am.activations(batch, "segmenter"), am.activations(batch, "conv") * 2)
    assert [layer.path for layer in am.layers] == ["conv", "segmenter"]


def test_maps_are_read_only_and_the_batch_is_left_alone():
    am = ActivationModel(zoo.sequential())
    batch = sample()
    batch.flags.writeable = False
    digest = hashlib.sha256(batch.tobytes()).digest()
    with pytest.raises(ValueError, match="read-only"):
        am.activations(batch, "conv")[0, 0, 0] = 1
    assert hashlib.sha256(batch.tobytes()).digest() == digest


# ------------------------------------------------------------------ freshness


def _fit(model: keras.Model) -> None:
    model.compile("sgd", "categorical_crossentropy")
    model.fit(sample(5), np.eye(2, dtype="float32")[:1], verbose=0)


def _set_weights(model: keras.Model) -> None:
    model.set_weights([weight + 0.01 for weight in model.get_weights()])


def _one_element(model: keras.Model) -> None:
    kernel = model.get_layer("conv").kernel
    value = kernel.numpy()
    value[0, 0, 0, 0] = np.nextafter(value[0, 0, 0, 0], np.float32(9))
    kernel.assign(value)


def _slice_in_place(model: keras.Model) -> None:
    model.get_layer("conv").kernel.value[0, 0, 0, 0].assign(3.0)


def _batch_norm_statistics(model: keras.Model) -> None:
    model.get_layer("norm").moving_variance.assign(np.full(17, 9.0, "float32"))


def _swap(model: keras.Model) -> None:
    kernel = model.get_layer("conv").kernel
    kernel.assign(kernel.numpy()[..., ::-1])


def _load(model: keras.Model) -> None:
    other = zoo.sequential()
    for weight, source in zip(model.weights, other.weights, strict=True):
        weight.assign(source)


@pytest.mark.parametrize(
    "change", [_fit, _set_weights, _one_element, _slice_in_place, _batch_norm_statistics, _swap, _load]
)
@pytest.mark.parametrize("compiled", [False, True])
def test_after_any_change_of_weights_the_maps_are_fresh(change: Callable[[keras.Model], None], compiled):
    model = zoo.sequential()
    am = ActivationModel(model)
    batch = sample()
    am.activations(batch, "norm")
    if compiled:
        settle(am)
        am.version()  # weights held longer are read another way
    before = am.stats.forwards
    change(model)
    maps = am.activations(batch, "norm")
    assert am.stats.forwards == before + 1
    x = batch
    for layer in model.layers[:5]:
        x = layer(x, training=False)
    assert close(maps, x[0])
    am.activations(batch, "conv")
    assert am.stats.forwards == before + 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_a_weight_of_any_type_is_watched_in_either_way_of_reading(dtype):
    model = keras.Sequential([keras.Input(zoo.SIZE), keras.layers.Conv2D(2, 3, dtype=dtype)])
    watch = backend.WeightMonitor()
    seen = [watch.check(model).version]
    for _ in range(2):
        assert watch.check(model).version == seen[-1]
        for value in (1, 2):
            model.weights[1].value[1].assign(value)
            seen.append(watch.check(model).version)
        watch.compile_reader()
    assert len(set(seen)) == 5


def test_a_request_with_a_known_weights_version_does_not_check_the_weights_again(monkeypatch):
    am = ActivationModel(zoo.sequential())
    checks, check = [], am._monitor.check

    def checked(model: keras.Model) -> Any:
        checks.append(model)
        return check(model)

    monkeypatch.setattr(am._monitor, "check", checked)
    version = am.version()
    am.activations(sample(), "conv", version=version)
    am.predictions(sample(), version=version)
    assert len(checks) == 1
    am.activations(sample(), "conv", version=version - 1)
    assert len(checks) == 2


def test_a_large_weight_is_seen_to_change_wherever_it_does_and_is_copied_no_more_afterwards():
    model = keras.Sequential([keras.Input((300_000,)), keras.layers.Dense(2, name="dense")])
    kernel = model.get_layer("dense").kernel.value
    watch = backend.WeightMonitor()
    seen = [watch.adopt(model).version]
    for row in (0, 150_000, 299_999):
        kernel[row, 1].assign(float(row) + 7)
        first, again = (watch.check(model) for _ in range(2))
        assert first.addresses == again.addresses
        assert first.version == again.version
        seen.append(first.version)
    kernel.scatter_nd_add([[299_999, 0]], [1.0])
    seen.append(watch.check(model).version)
    assert len(set(seen)) == 5
    kernel.assign(kernel.numpy())
    assert watch.check(model).version == seen[-1]


def test_a_raw_tensorflow_variable_counts_as_a_weight():
    model = zoo.subclassed()
    am = ActivationModel(model)
    batch = zoo.batch_for(model)
    old = am.activations(batch, "block").copy()
    model.block.scale.assign(1.0)
    assert close(am.activations(batch, "block"), old * 2)


def test_variables_in_lists_and_what_recurrent_layers_carry_on_count_as_weights():
    class Held(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.held = {"scales": [tf.Variable(1.0), tf.Variable(2.0)]}

        def call(self, x: Any) -> Any:
            return x * self.held["scales"][1]

    held = Held()
    model = keras.Sequential([keras.Input(zoo.SIZE), held])
    am = ActivationModel(model)
    old = am.activations(sample(), am.layers[0].path)
    held.held["scales"][1].assign(6.0)
    assert close(am.activations(sample(), am.layers[0].path), old * 3)

    model = custom_models.remembering()
    am = ActivationModel(model)
    batch = zoo.batch_for(model)
    before = am.version()
    am.predictions(batch)
    assert am.version() == before
    model(batch)
    assert am.version() > before


def test_a_layer_added_to_the_model_is_listed():
    model = keras.Sequential([keras.Input(zoo.SIZE), keras.layers.Conv2D(4, 3, name="conv")])
    am = ActivationModel(model)
    batch = sample()
    am.activations(batch, "conv")
    settle(am)
    model.add(keras.layers.Conv2D(2, 3, name="added"))
    assert [layer.path for layer in am.layers] == ["conv", "added"]
    assert close(am.activations(batch, "added"), model(batch)[0])


# ------------------------------------------------------------------ the model never notices


@pytest.mark.parametrize("name", ["with_penalties", "sequential", "subclassed"])
def test_fit_gives_the_same_weights_with_and_without_a_forward_pass_beside_it(name):
    def train(*, beside: bool) -> list[np.ndarray[Any, Any]]:
        keras.utils.set_random_seed(3)
        model = zoo.MODELS[name]()
        am = ActivationModel(model)
        x = np.concatenate([zoo.batch_for(model, seed) for seed in range(6)])
        y = np.eye(2, dtype="float32")[[0, 1, 0, 1, 0, 1]]
        model.compile(keras.optimizers.Adam(0.01), "mse")
        stop = threading.Event()

        def request() -> None:
            seed = 0
            while not stop.is_set():
                batch = zoo.batch_for(model, seed % 5)
                am.activations(batch, am.layers[0].path)
                seed += 1

        watcher = threading.Thread(target=request)
        if beside:
            am.predictions(x[:1])
            am.warm_up()
            watcher.start()
        try:
            model.fit(x, y, batch_size=2, epochs=8, verbose=0, shuffle=False)
        finally:
            stop.set()
            if beside:
                watcher.join()
        if beside:
            assert am.stats.forwards > 3
        weights: list[np.ndarray[Any, Any]] = model.get_weights()
        return weights

    for a, b in zip(train(beside=False), train(beside=True), strict=True):
        assert np.array_equal(a, b)


def test_a_forward_pass_tolerates_attributes_that_training_sets_meanwhile():
    model = zoo.subclassed()

    class Meddling:
        """Stand-in for another thread: the model gains an attribute whenever its type is read."""

        @property  # type: ignore[misc]  # the wrong type is what the test needs
        def __class__(self) -> type:
            vars(model)[f"history_{len(vars(model))}"] = []
            return object

    vars(model)["meddling"] = Meddling()
    am = ActivationModel(model)
    count = len(vars(model))
    assert am.version() == am.version()
    assert len(vars(model)) > count


def test_nothing_about_the_model_changes():
    model = zoo.with_penalties()
    model.compile("adam", "mse")
    x, y = sample(), np.zeros((1, 2), "float32")
    model.fit(x, y, verbose=0)
    optimizer = model.optimizer

    def state() -> Any:
        return (
            model.get_config(),
            [layer.name for layer in model._flatten_layers()],
            [layer.trainable for layer in model._flatten_layers()],
            [len(layer._inbound_nodes) for layer in model._flatten_layers()],
            [len(layer._outbound_nodes) for layer in model._flatten_layers()],
            [len(layer._losses) for layer in model._flatten_layers()],
            [set(vars(layer)) for layer in model._flatten_layers()],
            int(optimizer.iterations),
            [weight.numpy().tobytes() for weight in (*model.variables, *optimizer.variables)],
        )

    before = state()
    am = ActivationModel(model)
    for seed in range(3):
        am.activations(sample(seed), am.layers[0].path)
        settle(am)
    assert state() == before
    assert model.optimizer is optimizer
    assert keras.Operation.__call__.__qualname__.startswith("Operation")
    assert keras.Layer.add_loss.__qualname__.startswith("Layer")


@pytest.mark.parametrize("name", ["counting", "remembering", "unbuilt_counting"])
def test_forward_passes_do_not_advance_the_state_of_a_model(name):
    """Compare with a plain model that runs on the same images and records nothing."""
    keras.utils.set_random_seed(4)
    model = custom_models.MODELS[name]()
    keras.utils.set_random_seed(4)
    untouched = custom_models.MODELS[name]()
    am = ActivationModel(model)
    pictures = [sample(seed) for seed in range(3)]
    for batch in pictures:
        am.predictions(batch)
        am.predictions(batch)
        forwards = am.stats.forwards
        am.activations(batch, am.layers[-1].path)
        assert am.stats.forwards <= forwards + 1  # maps before an activation take a pass of their own
        settle(am)
        for each in pictures[:2]:
            assert np.array_equal(model(each, training=False), untouched(each, training=False))
    for ours, theirs in zip(oracle.state(model), oracle.state(untouched), strict=True):
        assert np.array_equal(ours, theirs)


def test_state_is_left_alone_while_another_thread_advances_it():
    """Count every training step once: a forward pass beside it loses none and adds none."""
    model = custom_models.counting()
    am = ActivationModel(model)
    am.predictions(sample())
    counting = model.layers[0]
    before = float(counting.calls)
    stop = threading.Event()
    forwards = am.stats.forwards

    def request() -> None:
        seed = 0
        while not stop.is_set():
            am.predictions(sample(seed % 7))
            seed += 1

    watcher = threading.Thread(target=request)
    watcher.start()
    try:
        for _ in range(40):
            model(sample(9), training=True)
    finally:
        stop.set()
        watcher.join()
    assert float(counting.calls) == before + 40
    assert am.stats.forwards > forwards + 3


def test_functions_that_users_compiled_are_followed_and_left_as_they_were():
    class Counter(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="counter")
            self.conv = keras.layers.Conv2D(2, 1, name="conv")
            self.calls = tf.Variable(0.0)

        @tf.function
        def features(self, x: Any) -> Any:
            self.calls.assign_add(1.0)
            return self.conv(x) if tf.reduce_mean(x) > 0 else tf.zeros_like(x)[..., :2]

        def call(self, x: Any) -> Any:
            return self.features(x)

    model = keras.Sequential([keras.Input(zoo.SIZE), Counter()])
    am = ActivationModel(model)
    assert [layer.path for layer in am.layers] == ["counter"]  # an empty image takes the other branch
    am.predictions(sample())
    assert [layer.path for layer in am.layers] == ["counter/conv", "counter"]
    am.predictions(sample(1))
    for _ in range(3):
        model(sample())
    assert float(model.layers[0].calls) == 3


# ------------------------------------------------------------------ memory


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=30), st.integers(1, 6))
def test_the_cache_keeps_to_its_bytes_and_forgets_the_least_recent(requests, pictures_that_fit):
    """Compare with a plain list that follows the same rule."""
    model = _MODEL
    probe = ActivationModel(model)
    probe.activations(sample(), "conv")
    each = probe.stats.bytes
    am = ActivationModel(model, cache_bytes=each * pictures_that_fit + each // 2)
    paths = ordinary(am)
    recent: list[int] = []
    forwards = am.stats.forwards
    for seed, place in requests:
        am.activations(_BATCHES[seed], paths[place])
        forwards += seed not in recent
        recent = [*(other for other in recent if other != seed), seed][-pictures_that_fit:]
        assert am.stats.forwards == forwards
        assert am.stats.bytes == len(recent) * each <= am.cache_bytes


_MODEL = zoo.sequential()
_BATCHES = [sample(seed) for seed in range(6)]


def test_a_tensor_that_two_layers_return_is_counted_once():
    am = ActivationModel(zoo.sequential())
    am.activations(sample(), "drop")
    by_hand = [np.prod(am.layer(path).shape) * 4 for path in ordinary(am) if path != "drop"]
    assert am.stats.bytes == sum(by_hand)


@pytest.mark.parametrize("cache_bytes", [0, 9000, 14000])
def test_maps_that_do_not_fit_together_are_computed_when_asked_for(cache_bytes):
    model = zoo.sequential()
    am, roomy = ActivationModel(model, cache_bytes=cache_bytes), ActivationModel(model)
    for seed in (0, 1):
        for layer in am.layers:
            assert close(
                am.activations(sample(seed), layer.path), roomy.activations(sample(seed), layer.path)
            )
            largest = max(np.prod(each.shape) * 4 for each in am.layers)
            assert am.stats.bytes <= max(cache_bytes, largest)
    assert am.stats.traces == 0


# ------------------------------------------------------------------ errors


def test_an_unknown_path_is_answered_with_the_nearest():
    am = ActivationModel(zoo.sequential())
    for _ in range(2):  # before and after the layers are known
        with pytest.raises(ValueError, match=r"no layer 'conv_2'.*'conv_1'"):
            am.activations(sample(), "conv_2")


@pytest.mark.parametrize("shape", [(2, *zoo.SIZE), (0, *zoo.SIZE), ()])
def test_a_batch_of_other_than_one_picture_is_refused(shape):
    with pytest.raises(ValueError, match="one image"):
        ActivationModel(zoo.sequential()).activations(np.zeros(shape, "float32"), "conv")


def test_a_model_that_fails_says_where():
    class Broken(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            if not hasattr(x, "graph"):
                raise ArithmeticError("the flux capacitor is empty")
            return x

    inner = keras.Sequential([keras.Input((8, 8, 3)), Broken(name="broken")], name="inner")
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 1), inner])
    with pytest.raises(
        ForwardError, match=r"Raised in Broken 'inner/broken'\. ArithmeticError: the flux capacitor"
    ):
        ActivationModel(model).activations(np.zeros((1, 8, 8, 3), "float32"), "conv")
    assert "Operation.__call__" in keras.Operation.__call__.__qualname__


@pytest.mark.parametrize(
    ("model", "shape", "sentence"),
    [
        (zoo.sequential, (1, 30, 30, 3), r"Raised in Sequential 'sequential'\. ValueError: Input 0 .*'dense"),
        (zoo.twins, (1, *zoo.SIZE), r"on this input\. ValueError: Layer \"twins\" expects 2 named input"),
        (zoo.unbuilt_sequential, (1, 30, 30), r"on this input\. ValueError: .*found ndim=3"),
    ],
)
def test_input_that_does_not_fit_is_explained_in_keras_words(model, shape, sentence):
    with pytest.raises(ForwardError, match=sentence):
        ActivationModel(model()).predictions(np.zeros(shape, "float32"))


def test_layers_that_this_device_cannot_compute_are_explained():
    class Elsewhere(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            if hasattr(x, "numpy"):
                message = (
                    "{{function_node __wrapped__Conv2D_device_/CPU:0}} Conv2D supports only NHWC [Op:Conv2D]"
                )
                raise tf.errors.UnimplementedError(None, None, message)
            return x

    model = keras.Sequential([keras.Input((8, 8, 3)), Elsewhere(name="first")])
    with pytest.raises(ForwardError) as caught:
        ActivationModel(model).predictions(np.zeros((1, 8, 8, 3), "float32"))
    assert str(caught.value) == (
        "The model failed on this input. Raised in Elsewhere 'first'. "
        "UnimplementedError: Conv2D supports only NHWC "
        "(On this device TensorFlow computes the layer with channels last only: run the model on a GPU, or "
        "build it with `data_format='channels_last'`.)"
    )


def test_compiling_waits_during_requests_but_not_for_ever(monkeypatch):
    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            self.now += seconds
            if requests:
                am.version()

    clock, requests = Clock(), False
    monkeypatch.setattr(compiling, "time", clock)
    monkeypatch.setattr(activations, "time", clock)
    am = ActivationModel(zoo.sequential())
    am.version()
    am._compiler._give_way()
    assert clock.now == pytest.approx(100.06)
    am._compiler._give_way()
    assert clock.now == pytest.approx(100.06)
    requests = True
    am.version()
    am._compiler._give_way()
    assert 0.3 < clock.now - 100.06 < 0.4


def interrupted_at(step: int, act: Callable[[], Any], codes: set[Any]) -> bool:
    """Return whether an interrupt came before this step of the interpreter within functions of `codes`."""
    left = step

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code not in codes:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("grows", [False, True])
def test_an_interrupt_between_any_two_steps_leaves_no_map_of_old_weights(grows):
    watching = (
        backend.WeightMonitor.check,
        backend.WeightMonitor._read,
        activations.ActivationModel._drop_stale,
    )
    codes = {each.__code__ for each in watching}
    model = keras.Sequential([keras.Input((6, 5, 3)), keras.layers.Conv2D(2, 3, name="conv")])
    am = ActivationModel(model)
    kernel, batch = model.get_layer("conv").kernel, np.ones((1, 6, 5, 3), "float32")

    def request() -> Any:
        return am.activations(batch, am.layers[-1].path)

    for step in itertools.count():
        request()
        kernel.assign(np.full(kernel.shape, 1.0 + step))
        if grows and len(model.layers) == 1:
            model.add(keras.layers.Conv2D(1, 1, name="more"))
        elif grows:
            model.pop()
        if not interrupted_at(step, request, codes):
            break
        assert close(request(), model(batch, training=False)[0])
        assert len(am.layers) == len(model.layers)
    assert step > 100
