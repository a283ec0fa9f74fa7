"""Thinning: within the limits, with the first, the last and the best, evenly in the logarithm of the step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmwidget.snapshots.thinning import best_place, kept_places


@st.composite
def runs(draw):
    """Return steps, parts that snapshots share, sizes of the parts, and places to keep."""
    steps = sorted(draw(st.sets(st.integers(0, 500), min_size=1, max_size=40)))
    parts = [draw(st.sets(st.integers(0, 20), max_size=5)) for _ in steps]
    sizes = {part: draw(st.integers(1, 100)) for part in range(21)}
    keep = draw(st.sets(st.integers(0, len(steps) - 1), max_size=2))
    return steps, parts, sizes, keep


def bytes_of(places, parts, sizes):
    return sum(sizes[part] for part in set().union(*(parts[place] for place in places)))


@given(runs(), st.integers(1, 2000), st.integers(1, 40))
def test_those_that_stay_are_within_the_limits_or_must_stay(run, max_bytes, max_count):
    steps, parts, sizes, keep = run
    kept = kept_places(steps, parts, sizes, max_bytes=max_bytes, max_count=max_count, keep=keep)
    fixed = {0, len(steps) - 1, *keep}
    assert kept == sorted(set(kept))
    assert fixed <= set(kept) <= set(range(len(steps)))
    is_within = bytes_of(kept, parts, sizes) <= max_bytes and len(kept) <= max_count
    assert is_within or set(kept) == fixed


@given(runs(), st.integers(1, 2000), st.integers(1, 40))
def test_nothing_goes_that_fits_and_a_second_time_changes_nothing(run, max_bytes, max_count):
    steps, parts, sizes, keep = run
    limits = {"max_bytes": max_bytes, "max_count": max_count}
    everything = list(range(len(steps)))
    if bytes_of(everything, parts, sizes) <= max_bytes and len(steps) <= max_count:
        assert kept_places(steps, parts, sizes, **limits, keep=keep) == everything
    kept = kept_places(steps, parts, sizes, **limits, keep=keep)
    again = kept_places(
        [steps[place] for place in kept],
        [parts[place] for place in kept],
        sizes,
        **limits,
        keep=[kept.index(place) for place in keep],
    )
    assert again == list(range(len(kept)))


@pytest.mark.parametrize("capacity", [5, 10, 20])
def test_a_growing_run_stays_evenly_spaced_in_the_logarithm(capacity):
    steps: list[int] = []
    for step in range(2000):
        steps.append(step)
        kept = kept_places(
            steps, [{each} for each in steps], dict.fromkeys(steps, 1), max_bytes=capacity, max_count=1000
        )
        steps = [steps[place] for place in kept]
        assert steps[0] == 0
        assert steps[-1] == step
    gaps = [math.log((after + 1) / (before + 1)) for before, after in itertools.pairwise(steps)]
    even = math.log(2000) / (capacity - 1)
    assert len(steps) == capacity
    # Steps are whole numbers, so the first gap is log 2 at least; the last is as long as it happens to be.
    assert max(gaps[:-1]) <= 2 * max(even, math.log(2))


def test_a_snapshot_that_frees_nothing_stays_as_long_as_another_frees_something():
    steps, parts = [0, 1, 2, 3, 4], [{"frozen"}, {"frozen"}, {"frozen", "a"}, {"frozen", "b"}, {"frozen"}]
    sizes: dict[Hashable, int] = {"frozen": 10, "a": 1, "b": 1}
    assert kept_places(steps, parts, sizes, max_bytes=11, max_count=9) == [0, 1, 2, 4]


@pytest.mark.parametrize(
    ("logs", "monitor", "expected"),
    [
        ([{}, {"loss": 3.0}, {"loss": 1.0}, {"loss": 2.0}], "auto", 2),
        ([{"loss": 1.0, "val_loss": 3.0}, {"loss": 2.0, "val_loss": 1.0}], "auto", 1),
        ([{"accuracy": 0.5}, {"accuracy": 0.7}, {"accuracy": 0.7}], "accuracy", 1),
        ([{"val_acc": 0.5}, {"val_acc": 0.7}], "val_acc", 1),
        ([{"mae": 0.5}, {"mae": 0.7}], "mae", 0),
        ([{"loss": math.nan}, {"loss": 5.0}], "auto", 1),
        ([{"loss": math.nan}], "auto", None),
        ([{"loss": 1.0}], "val_loss", None),
        ([], "auto", None),
    ],
)
def test_the_best_by_a_number_that_should_be_small_or_large(logs, monitor, expected):
    assert best_place(logs, monitor) == expected
