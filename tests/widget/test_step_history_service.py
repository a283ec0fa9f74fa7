"""Step histories on a background thread: growing with the run, one image at a time, and never silent."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import keras
import numpy as np
import pytest

from fmwidget import ActivationModel, step_history
from fmwidget.models import backends
from fmwidget.snapshots.snapshot import NamedValues, Snapshot
from fmwidget.widget import step_history_service
from fmwidget.widget.step_history_service import StepHistoryService
from tests.support.driving import until

layers = keras.layers
SIZE = (6, 5, 3)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input(SIZE), layers.Conv2D(3, 3, activation="relu", name="a"), layers.Conv2D(2, 1, name="b")]
    )


@pytest.fixture
def am(model):
    return ActivationModel(model)


def image(seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((1, *SIZE), np.float32)


def snapshots_of(model, count):
    named = backends.current().named_variables(model)
    rng = np.random.default_rng(0)
    return tuple(
        Snapshot(
            step=step,
            source=NamedValues(
                list(named), [np.asarray(each) + rng.normal(0, 1, each.shape) for each in named.values()]
            ),
        )
        for step in range(count)
    )


def finished(service: StepHistoryService, am: Any, batch: Any, run: Any) -> Any:
    """Return the history of all steps of a run, as the widget gets it: by asking again at the end."""
    service.history(am, batch, run)
    until(lambda: service._thread is None)
    history = service.history(am, batch, run)
    assert history is not None
    assert history.is_complete
    assert history.steps == tuple(snapshot.step for snapshot in run)
    return history


@pytest.fixture
def service():
    service = StepHistoryService(lambda: None)
    yield service
    service.close()
    until(lambda: service._thread is None)


def test_it_grows_without_being_waited_for(model, am, service):
    run = snapshots_of(model, 6)
    assert service.history(am, image(), run) is None
    history = finished(service, am, image(), run)
    alone = step_history(model, image(), run)
    np.testing.assert_array_equal(history.from_previous, alone.from_previous)
    assert am.stats.forwards == 6
    until(lambda: service._thread is None)
    assert finished(service, am, image(), run) is history
    assert am.stats.forwards == 6
    assert service.problem == ""


def test_new_steps_cost_one_pass_each_and_what_is_there_stays_meanwhile(model, am, service):
    run = snapshots_of(model, 5)
    for count in range(1, 6):
        service.history(am, image(), run[:count])
        until(lambda: service._thread is None)
        history = service.history(am, image(), run[:count])
        assert history.steps == tuple(range(count))
        assert am.stats.forwards == count


def test_it_reports_on_its_thread_when_more_is_there(model, am):
    reports = []
    service = StepHistoryService(lambda: reports.append(threading.current_thread().name))
    run = snapshots_of(model, 3)
    service.history(am, image(), run)
    until(lambda: service._thread is None)
    assert set(reports) == {"fmwidget-step-history"}
    history = service.history(am, image(), run)
    assert history is not None
    assert history.is_complete
    service.close()


def test_it_reports_a_few_times_a_second_at_most(model, am, monkeypatch):
    monkeypatch.setattr(step_history_service, "INTERVAL", 1e6)
    reports = []
    service = StepHistoryService(lambda: reports.append(0))
    run = snapshots_of(model, 8)
    service.history(am, image(), run)
    until(lambda: service._thread is None)
    assert len(reports) == 1
    service.close()


def test_another_image_takes_over_and_both_are_kept(model, am, service):
    run = snapshots_of(model, 4)
    started, go_on = threading.Event(), threading.Event()
    measure = ActivationModel.measure

    def slow(self, *args, **options):
        started.set()
        assert go_on.wait(30)
        return measure(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ActivationModel, "measure", slow)
        service.history(am, image(0), run)
        assert started.wait(30)
        service.history(am, image(1), run)  # while the first step of the other is measured
        go_on.set()
        second = finished(service, am, image(1), run)
    until(lambda: service._thread is None)
    first = service._entries[next(iter(service._entries))].history
    assert len(first.steps) == 1, "it stopped for the other image"
    for batch, history in ((image(0), finished(service, am, image(0), run)), (image(1), second)):
        np.testing.assert_array_equal(history.mean, step_history(model, batch, run).mean)
        np.testing.assert_array_equal(history.from_previous, step_history(model, batch, run).from_previous)


def test_only_the_latest_images_are_kept(model, am, service):
    run = snapshots_of(model, 2)
    for seed in range(step_history_service.KEPT + 2):
        finished(service, am, image(seed), run)
    assert len(service._entries) == step_history_service.KEPT
    finished(service, am, image(seed), run)


def test_a_problem_is_said_and_passes(model: Any, am: Any) -> None:
    reports: list[str] = []
    failing = StepHistoryService(lambda: reports.append(failing.problem))
    good, bad = snapshots_of(model, 2), Snapshot(step=2, source=NamedValues(["nowhere"], [np.zeros(3)]))
    failing.history(am, image(), (*good, bad))
    until(lambda: failing._thread is None)
    history = failing.history(am, image(), (*good, bad))
    assert history is not None
    assert history.steps == (0, 1)
    assert not history.is_complete
    assert "does not fit the model" in failing.problem
    assert reports[-1] == failing.problem
    forwards, told = am.stats.forwards, len(reports)
    failing.history(am, image(), (*good, bad))
    assert failing._thread is None, "the same is not tried again"
    assert (am.stats.forwards, len(reports)) == (forwards, told)
    finished(failing, am, image(), good)
    assert failing.problem == ""
    failing.close()


def test_snapshots_are_not_kept_alive(model, am, service):
    run = snapshots_of(model, 3)
    finished(service, am, image(), run)
    until(lambda: service._thread is None)
    dropped = weakref.ref(run[1])
    run = (run[0], run[2])
    assert finished(service, am, image(), run).steps == (0, 2)
    until(lambda: service._thread is None)
    gc.collect()
    assert dropped() is None


def test_a_closed_service_measures_no_more(model, am, monkeypatch):
    monkeypatch.setattr(step_history_service, "INTERVAL", 1e6)
    reports = []
    service = StepHistoryService(lambda: reports.append(0))
    run = snapshots_of(model, 50)
    service.history(am, image(), run)
    service.close()
    until(lambda: service._thread is None)
    assert am.stats.forwards < 50
    assert service.history(am, image(), run) is None
    assert service._thread is None
    assert reports == []


def test_a_report_that_fails_does_not_end_the_service(model, am, monkeypatch):
    failures = []
    monkeypatch.setattr(threading, "excepthook", lambda args: failures.append(str(args.exc_value)))

    def ready():
        if not failures:
            raise RuntimeError("no screen")

    service = StepHistoryService(ready)
    run = snapshots_of(model, 3)
    service.history(am, image(), run[:1])
    until(lambda: service._thread is None)
    assert failures == ["no screen"]
    assert finished(service, am, image(), run).steps == (0, 1, 2)
    service.close()
