"""Compare every map with a plain forward pass; `python -m tests.support.conformance` prints a table.

Names of models, or paths of saved ones, as arguments choose some; without any it compares all, which takes
minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fmwidget import ActivationModel
from fmwidget.activations.layers import FeatureLayer
from tests.support import combinations, custom_models, oracle, zoo

TOLERANCE = 1e-4  # of the largest magnitude of a layer's output

Maker = Callable[[], keras.Model]
SMALL: dict[str, Maker] = zoo.MODELS | combinations.MODELS | custom_models.MODELS


def _application(name: str, dtype: str = "float32") -> Maker:
    """Build a network of keras.applications at random weights, for images as small as most allow."""

    def make() -> keras.Model:
        keras.utils.set_random_seed(1)
        keras.config.set_dtype_policy(dtype)
        try:
            return getattr(keras.applications, name)(weights=None, input_shape=(80, 96, 3), classes=10)
        finally:
            keras.config.set_dtype_policy("float32")

    return make


def _saved(path: Path) -> Maker:
    return lambda: keras.models.load_model(path, compile=False)


# The smallest of each family in keras.applications, and trained networks stored beside the repository.
LARGE: dict[str, Maker] = {
    name: _application(name)
    for name in (
        "VGG16",
        "ResNet50",
        "ResNet50V2",
        "InceptionV3",
        "InceptionResNetV2",
        "Xception",
        "MobileNet",
        "MobileNetV2",
        "MobileNetV3Small",
        "DenseNet121",
        "NASNetMobile",
        "EfficientNetB0",
        "EfficientNetV2B0",
        "ConvNeXtTiny",
    )
}
LARGE |= {
    f"{name} in {dtype}": _application(name, dtype)
    for name in ("MobileNetV2", "ResNet50", "EfficientNetB0")
    for dtype in ("mixed_float16", "mixed_bfloat16")
}
LARGE |= {
    path.name: _saved(path)
    for path in sorted((Path(__file__).parents[3] / "shared" / "models").glob("*.keras"))
}


@dataclass
class Comparison:
    """Counts of compared maps, and the largest difference relative to a layer's largest value."""

    calls: int = 0
    maps: int = 0
    difference: float = 0.0
    worst: str = ""
    is_compiled: bool = False

    def add(self, layer: FeatureLayer, maps: np.ndarray[Any, Any], output: oracle.Output) -> None:
        expected = output.value[0]
        if layer.data_format == "channels_first":
            expected = np.moveaxis(expected, 0, -1)
        assert maps.shape == layer.shape == expected.shape, layer.path
        assert maps.dtype == expected.dtype, layer.path
        difference = relative_difference(maps, expected)
        assert difference <= TOLERANCE, f"{layer.path}: {difference:.1e}"
        self.calls += 1
        self.maps += layer.shape[-1]
        if difference > self.difference:
            self.difference, self.worst = difference, layer.path


def relative_difference(maps: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """Return max|a-b| / max|b| over finite values; inf unless NaN and infinities are in the same places."""
    a, b = np.asarray(maps, "float64"), np.asarray(expected, "float64")
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return float("inf")
    difference = np.max(np.abs(a[finite] - b[finite]), initial=0)
    return float(difference and difference / np.max(np.abs(b[finite])))


def settle(am: ActivationModel) -> None:
    """Wait until the compiled pass is in use, or has been given up."""
    am.warm_up()
    for future in am._compiler.passes.values():
        future.exception(timeout=600)


def compare(make: Maker, *, batches: int = 3) -> Comparison:
    """Compare all listed maps with all of a plain forward pass: one image eagerly, the rest compiled.

    Raises:
        AssertionError: If a map is missing, is listed without need, or differs.
    """
    keras.utils.set_random_seed(1)
    model, twin = make(), make()
    pictures = [zoo.batch_for(model, seed) for seed in range(batches)]
    plain = oracle.instrumented(twin, pictures[0])
    am = ActivationModel(model, cache_bytes=2**31)
    am.predictions(pictures[0])
    before = [np.asarray(each).tobytes() for each in oracle.state(model)]
    result = Comparison()
    for batch in pictures:
        oracle.copy_state(model, twin)
        expected = plain(batch)
        assert [
            (type(each.operation).__name__, each.call_index, each.before_activation) for each in expected
        ] == [(type(layer.layer).__name__, layer.call_index, layer.after is not None) for layer in am.layers]
        # Those before activations last: they take another pass, an eager one, which stays in the cache.
        pairs = sorted(zip(am.layers, expected, strict=True), key=lambda pair: pair[0].after is not None)
        for layer, output in pairs:
            result.add(layer, am.activations(batch, layer.path), output)
        oracle.copy_state(model, twin)
        outputs = keras.tree.flatten(twin(batch, training=False))
        for ours, theirs in zip(keras.tree.flatten(am.predictions(batch)), outputs, strict=True):
            assert relative_difference(np.ravel(ours), np.ravel(theirs)) <= TOLERANCE
        settle(am)
    assert [np.asarray(each).tobytes() for each in oracle.state(model)] == before
    passes = 2 if any(layer.after for layer in am.layers) else 1
    assert am.stats.forwards == passes * batches
    result.is_compiled = am.stats.traces == 1
    return result


def main(names: list[str]) -> None:
    """Compare the models of these names or paths; all if there are none."""
    makers = SMALL | LARGE
    chosen = {name: makers.get(name) or _saved(Path(name)) for name in names} or makers
    _say("model                                   calls     maps   difference  at")
    total = Comparison()
    began = time.perf_counter()
    for name, make in chosen.items():
        result = compare(make, batches=2)
        total.calls += result.calls
        total.maps += result.maps
        total.difference = max(total.difference, result.difference)
        eager = "" if result.is_compiled else "  (eager only)"
        _say(f"{name:39} {result.calls:5} {result.maps:8}   {result.difference:10.1e}  {result.worst}{eager}")
    _say(
        f"{len(chosen)} models, {total.calls} calls, {total.maps} maps compared in "
        f"{time.perf_counter() - began:.0f} s; largest relative difference {total.difference:.1e}"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
