"""A widget beside a model in training: in a real fit, and in every order of a few steps."""

from __future__ import annotations

import gc
import io
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import fmwidget.activations.background
import fmwidget.activations.training_monitor
from fmwidget import ActivationModel, FeatureMapWidget
from fmwidget.activations.training_monitor import TrainingDetector, TrainingMonitor
from tests.support import zoo
from tests.support.driving import deliver, described, status

PICTURES = {
    name: np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)
    for seed, name in enumerate(["one", "two"])
}
SECONDS = 60  # after which two threads that wait for each other would wait for ever


@pytest.fixture
def model():
    keras.utils.set_random_seed(7)
    return zoo.sequential()


def choose(widget, description, **state):
    """Make a choice in the browser."""
    deliver(described(widget, description), method="update", state=state)


# ---------------------------------------------------------------- every order of a few steps


class Schedule:
    """A schedule that runs threads one step at a time, in a given order of turns.

    A thread that waits for a lock of another is skipped. Where no thread can go on, they have
    deadlocked.
    """

    def __init__(self, order: Iterable[int]) -> None:
        self.order = list(order)
        self.turns = [0, 0]
        self.state: list[str] = []  # of each thread: "ready", "running", "waiting" for a lock, "done"
        self.turn = threading.Condition()
        self.failures: list[BaseException] = []
        self.here = threading.local()

    def run(self, *works: Callable[[], None]) -> None:
        self.state = ["ready"] * len(works)
        threads = [threading.Thread(target=self._work, args=each, daemon=True) for each in enumerate(works)]
        for thread in threads:
            thread.start()
        with self.turn:
            while set(self.state) != {"done"}:
                able = [number for number, state in enumerate(self.state) if state in ("ready", "waiting")]
                wanted = self.order.pop(0) if self.order else able[0]
                tried = [wanted] * (wanted in able) + [number for number in able if number != wanted]
                for number in tried:
                    self.state[number] = "running"
                    self.turns[number] += 1
                    self.turn.notify_all()
                    assert self.turn.wait_for(partial(self._stands, number), SECONDS), "stuck"
                    if self.state[number] != "waiting":
                        break
                else:
                    raise AssertionError(f"deadlock: {self.state}")
        for thread in threads:
            thread.join(SECONDS)

    def _stands(self, number: int) -> bool:
        return self.state[number] != "running"

    def seam(self, state: str = "ready") -> None:
        """Stop the thread here until its turn."""
        number = getattr(self.here, "number", None)
        if number is None:
            return  # a thread outside the schedule
        with self.turn:
            self.state[number] = state
            self.turn.notify_all()
            assert self.turn.wait_for(lambda: self.state[number] == "running", SECONDS), "never had its turn"

    def _work(self, number: int, work: Callable[[], None]) -> None:
        self.here.number = number
        try:
            with self.turn:
                assert self.turn.wait_for(lambda: self.state[number] == "running", SECONDS)
            work()
        except BaseException as error:  # noqa: BLE001 - any at all is a failure
            self.failures.append(error)
        finally:
            with self.turn:
                self.state[number] = "done"
                self.turn.notify_all()


class SteppedLock:
    """An `RLock` that reports every try to take it to the schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.lock = threading.RLock()

    def __enter__(self) -> None:
        self.schedule.seam()
        while not self.lock.acquire(blocking=False):
            self.schedule.seam("waiting")

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def orders(first: int, second: int) -> Iterator[list[int]]:
    """Return every order of so many turns of one thread and so many of another."""
    for places in itertools.combinations(range(first + second), first):
        yield [0 if place in places else 1 for place in range(first + second)]


def stepped(schedule: Schedule, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        schedule.seam()
        return function(*args, **kwargs)

    return call


def levels_of(maps):
    """Return the levels of the tutorial's formula: one channel after the other, clipped to a byte."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = (maps - maps.mean((0, 1))) / maps.std((0, 1)) * 64 + 128
    return np.nan_to_num(np.clip(scaled, 0, 255), nan=128)


def tiles_on_screen(widget):
    """Return the levels of every tile of the picture on screen, by channel."""
    picture = np.asarray(Image.open(io.BytesIO(widget.png)))
    layout = widget._screen.frame.layout
    shrink, rows, columns = layout.sampling
    assert shrink == 1
    found = {}
    for channel in layout.order:
        x, y, width, height = layout.tile_box(channel)
        found[channel] = picture[y : y + height : rows, x : x + width : columns] * (255 / 219)
    return found


def shows(widget, kernel, bias):
    """Return whether the picture on screen is that of a convolution with these weights, computed here."""
    pixels = PICTURES[widget.image].astype(np.float32) / 255
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3), axis=(0, 1))
    maps = np.maximum(np.einsum("hwcij,ijco->hwo", windows, kernel) + bias, 0)
    levels = levels_of(maps)
    tiles = tiles_on_screen(widget)
    active = [channel for channel in range(maps.shape[-1]) if maps[..., channel].any()]
    return all(np.abs(tiles[channel] - levels[..., channel]).max() <= 2 for channel in active)


@pytest.mark.parametrize("steps", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_in_every_order_of_training_and_drawing_the_picture_is_one_of_the_weights(steps, monkeypatch):
    picture = keras.Input((20, 24, 3))
    conv = keras.layers.Conv2D(3, 3, activation="relu", name="conv")
    model = keras.Model(picture, conv(picture))
    rng = np.random.default_rng(3)
    kernels = [rng.normal(size=(3, 3, 3, 3)).astype("float32") for _ in range(3)]
    biases = [rng.normal(size=3).astype("float32") for _ in range(3)]
    conv.set_weights([kernels[0], biases[0]])
    monkeypatch.setattr(TrainingMonitor, "begin", lambda _: None)
    widget: Any = FeatureMapWidget(model, PICTURES, layer="conv", preprocess="unit")
    fmwidget.activations.background._executor.submit(lambda: None).result()
    grid_update, version = widget._screen.panels.grid.update, widget._am.version

    def run(order):
        conv.set_weights([kernels[0], biases[0]])
        widget.norm, widget.image, widget.channel = "standardize", "one", 0
        schedule = Schedule(order)
        widget._lock, widget._am._lock = SteppedLock(schedule), SteppedLock(schedule)
        widget._screen.panels.grid.update = stepped(schedule, grid_update)
        widget._am.version = stepped(schedule, version)
        now = [0, 0]  # the versions of the weights: kernel and bias
        drawn: list[tuple[int, int]] = []

        def train():
            for number, (step, place) in enumerate(itertools.product(range(1, steps + 1), (0, 1))):
                if number:
                    schedule.seam()
                conv.weights[place].assign((kernels, biases)[place][step])
                now[place] = step

        def draw():
            for description, state in (("Channel", {"value": 1}), ("Channel", {"value": 2})):
                before = tuple(now)
                choose(widget, description, **state)
                possible = itertools.product(
                    *(range(first, last + 1) for first, last in zip(before, now, strict=True))
                )
                matching = [(k, b) for k, b in possible if shows(widget, kernels[k], biases[b])]
                assert matching, f"in the order {order} the picture is of no weights from {before} to {now}"
                drawn.append(matching[-1])

        schedule.run(train, draw)
        assert not schedule.failures, schedule.failures
        assert len(drawn) == 2
        assert "<details>" not in status(widget)
        for ours, last in zip(conv.get_weights(), (kernels[steps], biases[steps]), strict=True):
            assert np.array_equal(ours, last)
        widget._lock, widget._am._lock = threading.RLock(), threading.RLock()
        widget.refresh()
        assert shows(widget, kernels[steps], biases[steps])
        return schedule.turns

    training, looking = run([])
    assert training == 2 * steps
    assert looking > 10, "the seams are where they were"
    for order in orders(training, looking):
        run(order)
    widget.close()


# ---------------------------------------------------------------- a real fit


@pytest.fixture
def task():
    """Build a model about to be trained, with all that makes training depend on chance and on state."""

    def make():
        keras.utils.set_random_seed(3)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((20, 24, 3)),
                layers.Conv2D(8, 3, activation="relu", activity_regularizer="l2", name="conv"),
                layers.BatchNormalization(),
                layers.Dropout(0.3, seed=5),
                layers.GlobalAveragePooling2D(),
                layers.Dense(2, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    rng = np.random.default_rng(0)
    return make, rng.random((64, 20, 24, 3), dtype="float32"), np.arange(64) % 2


def test_hundreds_of_events_during_a_fit_change_nothing_of_its_result(task):
    make, x, y = task
    alone, watched = make(), make()
    alone.fit(x, y, epochs=2, batch_size=8, verbose=0, shuffle=False)
    widget = FeatureMapWidget(watched, PICTURES, preprocess="unit")
    over, failures = threading.Event(), []
    events = itertools.cycle(
        [
            *(("Channel", {"value": value}) for value in range(8)),
            ("Norm", {"index": 2}),
            ("Layer", {"index": 2}),
            ("Colours", {"index": 1}),
            ("Layer", {"index": 0}),
            ("Norm", {"index": 0}),
            ("Order", {"index": 1}),
            ("Order", {"index": 0}),
        ]
    )
    count = 0

    def draw():
        nonlocal count
        try:
            while not over.is_set() or count < 300:
                description, state = next(events)
                choose(widget, description, **state)
                count += 1
                assert "<details>" not in status(widget), status(widget)
        except BaseException as error:  # noqa: BLE001 - any at all is a failure
            failures.append(error)

    drawer = threading.Thread(target=draw, daemon=True)
    drawer.start()
    watched.fit(x, y, epochs=1, batch_size=8, verbose=0, shuffle=False)
    watched.fit(x, y, epochs=1, batch_size=8, verbose=0, shuffle=False)
    over.set()
    drawer.join(SECONDS)
    assert not drawer.is_alive(), "deadlock"
    assert not failures, failures
    assert count >= 300
    for ours, theirs in zip(watched.get_weights(), alone.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    widget.refresh()
    expected = np.asarray(watched.layers[0](PICTURES["one"][np.newaxis] / np.float32(255), training=False)[0])
    widget.layer = "conv"
    assert np.abs(widget.feature_maps - expected).max() <= 1e-4 * np.abs(expected).max()
    widget.close()


# ---------------------------------------------------------------- the status line


def checks(moved):
    """Return the state of `TrainingDetector` after each check, half a second apart; `x` found a change."""
    motion = TrainingDetector(0.0)
    states = []
    for number, each in enumerate(moved, 1):
        motion.check(number / 2, moved=each == "x")
        states.append("over" if motion.over else "training" if motion.training else "unsure")
    return states


def test_one_change_of_weights_is_no_training():
    assert set(checks("." * 16)) == {"unsure"}
    assert checks("." * 17)[-1] == "over"


def test_weights_that_go_on_moving_are_in_training_until_they_have_been_still_for_a_while():
    quick = checks("xxx" + "." * 5)
    assert quick == [*["training"] * 7, "over"], "two seconds"
    slower = checks(".x.xx" + "." * 7)
    assert slower == ["unsure", *["training"] * 10, "over"], "three times the longest step of one second"


def test_long_steps_are_waited_for():
    step = "." * 9 + "x"  # five seconds
    states = checks(3 * step + "." * 40)
    assert states[9:29] == ["training"] * 20
    assert states[29:60] == ["training"] * 31, "fifteen seconds"
    assert states[60] == "over"


def test_the_status_line_says_training_while_it_lasts_and_the_picture_is_of_its_end(model, monkeypatch):
    monkeypatch.setattr(fmwidget.activations.training_monitor, "EVERY", 0.02)
    monkeypatch.setattr(fmwidget.activations.training_monitor, "CALM", 0.3)
    widget = FeatureMapWidget(model, PICTURES, preprocess="unit", layer="conv")
    assert "training" not in status(widget)
    kernel = model.get_layer("conv").kernel
    rng = np.random.default_rng(1)
    values = [rng.normal(size=kernel.shape).astype("float32") for _ in range(5)]

    def wait_until(is_said):
        for _ in range(int(SECONDS / 0.02)):
            if ("in training" in status(widget)) == is_said:
                return
            threading.Event().wait(0.02)
        raise AssertionError(status(widget))

    kernel.assign(values[0])
    choose(widget, "Channel", value=1)
    kernel.assign(values[1])
    wait_until(is_said=True)
    kernel.assign(values[2])
    choose(widget, "Norm", index=99)  # refused, and the rest is kept
    assert "in training" in status(widget)
    kernel.assign(values[3])
    wait_until(is_said=False)
    assert shows(widget, values[3], model.get_layer("conv").bias.numpy())
    widget.close()


def test_a_model_that_is_compiled_is_watched_by_its_steps(task):
    make, x, y = task
    model = make()
    model.fit(x, y, epochs=1, verbose=0)
    am, listener = ActivationModel(model), Listener()
    watch = TrainingMonitor(am, listener.on_change)
    watch._has_changed()
    watch._has_changed()
    assert watch._has_changed() is False
    model.train_on_batch(x, y)
    assert watch._has_changed() is True
    assert watch._has_changed() is False
    model.layers[0].bias.assign(np.ones(8, "float32"))
    assert watch._has_changed() is True


class Listener:
    def on_change(self, is_on):
        pass


def test_watching_ends_with_its_last_listener(model, monkeypatch):
    monkeypatch.setattr(fmwidget.activations.training_monitor, "EVERY", 0.02)
    for end in ("close", "drop"):
        widget = FeatureMapWidget(model, PICTURES, layer="conv")
        model.get_layer("conv").bias.assign(np.random.default_rng(len(end)).random(5, "float32"))
        widget.refresh()
        thread = widget._monitor._thread
        assert thread is not None
        if end == "close":
            widget.close()
        del widget
        gc.collect()
        thread.join(SECONDS)
        assert not thread.is_alive()
