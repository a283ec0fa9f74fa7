"""Measure every interaction, and write `results.json` and the tables of `README.md`.

`make bench` measures the kernel first, then the browser; with `ARGS=--quick` it takes less than a minute and
writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from typing import Any

import keras
import tensorflow as tf

from . import extent
from .contenders import MODELS
from .kernel import measure_model
from .measuring import use_counting_comms
from .report import write
from .targets import targets

QUICK_MODELS = ("tutorial's CNN",)
_STARTED = time.perf_counter()


def main() -> None:
    """Measure, print the targets beside the measurements, and write both to files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and one model; writes nothing")
    parser.add_argument("--no-browser", action="store_true", help="the kernel only")
    arguments = parser.parse_args()
    results = measure(quick=arguments.quick, browser=not arguments.no_browser)
    lines = targets(results)
    for line in lines:
        print(f"{line.what:70} {line.target:46} {line.measured}   {line.verdict}")
    results["seconds"] = round(time.perf_counter() - _STARTED)
    print(f"{results['seconds']} s")
    if not arguments.quick and not arguments.no_browser:
        write(results, lines)


def measure(*, quick: bool, browser: bool) -> dict[str, Any]:
    """Return all measurements, by subject."""
    use_counting_comms()
    keras.utils.set_random_seed(0)
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"Keras {keras.__version__}, TensorFlow {tf.__version__}",
        "command": "make bench",
        "load": round(os.getloadavg()[0], 1),
    }
    _report_progress("memory of a long session")
    results["memory"] = extent.measure_memory(interactions=100 if quick else 2000)
    _report_progress("bytes, channels, import")
    results["bytes"] = extent.measure_sizes()
    results["channels"] = extent.measure_widths(rounds=2 if quick else 25)
    results["import_ms"] = extent.measure_import(rounds=1 if quick else 3)
    results["models"] = {}
    for name in QUICK_MODELS if quick else MODELS:
        _report_progress(name)
        found = measure_model(MODELS[name](), rounds=2 if quick else 9, firsts=1 if quick else 3)
        found["memory"] = {"peak": extent.peak_memory(), "steady": extent.steady_memory()}
        results["models"][name] = found
        print(json.dumps(found["ratios"], indent=1), flush=True)
    if browser:
        from .browser import measure_browser

        _report_progress("browser")
        results["browser"] = measure_browser(rounds=2 if quick else 21)
    return results


def _report_progress(step: str) -> None:
    print(f"{time.perf_counter() - _STARTED:4.0f} s  {step} ...", flush=True)


if __name__ == "__main__":
    main()
