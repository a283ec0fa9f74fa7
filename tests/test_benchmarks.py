"""The benchmark runs, its counts are correct, and its tables state all of them."""

from __future__ import annotations

import subprocess
import sys

import comm
import keras
import pytest

from benchmarks import extent, kernel
from benchmarks.measuring import CountingComm
from benchmarks.report import Line, paired, summary, tables
from benchmarks.targets import targets


def tiny() -> keras.Model:
    image = keras.Input((24, 24, 3))
    x = image
    for number in range(2):
        x = keras.layers.Conv2D(32, 3, name=f"conv{number}")(x)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def test_the_smallest_benchmark_counts_nothing_it_should_not(monkeypatch):
    monkeypatch.setattr(comm, "create_comm", CountingComm)
    model = kernel.measure_model(tiny(), rounds=2, firsts=1)
    counts = model["counts"]
    assert counts[kernel.GRIDS_ENCODED] == 0, "another channel is another frame on the same picture"
    assert counts[kernel.NORMALISATIONS] == 0, "another colormap is another palette"
    assert (counts[kernel.FORWARDS], counts["traces"]) == (2, 1)
    assert model["times"][kernel.LAYER]["bytes"] > 1000
    assert model["times"][kernel.LOOP]["messages"] == 0
    assert model["times"][kernel.RECORDING]["count"] == 2
    ratios = model["ratios"]
    assert min(ratios[kernel.NEW_IMAGE_FLOOR], ratios[kernel.FIRST_IMAGE_FLOOR]) > 1
    model["memory"] = {"peak": extent.peak_memory(), "steady": extent.steady_memory()}
    contender = summary([0.01]) | {"blank": 0, "frames": 9, "messages": 2, "bytes": 900}
    sizes = extent.measure_sizes()
    plain, sharp = (max(v for k, v in sizes.items() if k.endswith(f"ratio {ratio}")) for ratio in (1, 2))
    assert 1.3 * plain < sharp < 3 * plain, "four times the pixels"
    results = {
        "machine": "a machine",
        "load": 0.0,
        "seconds": 1,
        "memory": extent.measure_memory(interactions=20),
        "bytes": sizes,
        "channels": extent.measure_widths(rounds=2),
        "import_ms": 1.0,
        "models": {"tiny": model, "ResNet50": model},
        "browser": {"chromium": "1", "contenders": {"floor": contender}},
    }
    lines = targets({name: value for name, value in results.items() if name != "browser"})
    text = tables(results, lines)
    for line in lines:
        assert f"| {line.what} | {line.target} |" in text
    assert f"| {kernel.RECORDING}: ResNet50 | ≤ 5 ms |" in text
    assert f"; {kernel.FIRST_IMAGE_FLOOR}: " in text
    assert "| floor | 10 / 10 ± 0 | 0 of 9 | 2 | 1 |" in text


def test_a_missed_target_says_by_how_much():
    assert Line("", "", "", 1.3, 1.3).verdict == "met"
    assert Line("", "", "", 1.95, 1.3).verdict == "**missed** by 50.0%"
    assert Line("", "", "", 10, 20, at_least=True).verdict == "**missed** by 100.0%"
    assert Line("", "", "", 1, 0).verdict == "**missed**"


def test_ratios_are_of_measurements_made_in_turn():
    assert paired([2, 30, 4], [1, 10, 2]) == 2
    assert summary([0.001, 0.002, 0.003]) == {"median": 2, "p95": 3, "spread": 2, "count": 3}


@pytest.mark.slow
def test_the_browser_s_part_sees_every_contender_paint():
    command = [sys.executable, "-m", "benchmarks.browser", "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    assert said.count("'count': 1") >= 8
